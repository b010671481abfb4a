/* All wait, while another OS thread could still wake them: a report, and no deadlock. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>

static sem_t seen;
static osier_thread_t parked;

static void report(osier_report_t what, const char *text, void *report_arg)
{
    CHECK_EQUAL(what, OSIER_REPORT_STUCK);
    CHECK(strstr(text, "waits for unpark") != NULL);
    ++*(int *)report_arg;
    sem_post(&seen);
}

static void *wake(void *arg)
{
    while (sem_wait(&seen) != 0)
        ;
    CHECK_EQUAL(osier_unpark(parked), 0);
    return arg;
}

/* Names of OS threads serve as well: the green thread wakes the OS thread, and that one it. */
static void *park_in_os_thread(void *arg)
{
    osier_thread_t *self = arg;
    CHECK_EQUAL(osier_on_green_thread(), 0);
    *self = osier_self();
    CHECK_EQUAL(osier_self().id, self->id);
    CHECK_EQUAL(osier_kill(*self), EINVAL);
    CHECK_EQUAL(osier_join(*self, NULL), EDEADLK);
    CHECK_EQUAL(osier_unpark(parked), 0);
    CHECK_EQUAL(osier_park(), 0);
    return arg;
}

static void *body(void *arg)
{
    osier_thread_t other = { 0 };
    pthread_t os_thread;
    parked = osier_self();
    CHECK_EQUAL(pthread_create(&os_thread, NULL, wake, NULL), 0);
    CHECK_EQUAL(osier_park(), 0);
    CHECK_EQUAL(pthread_join(os_thread, NULL), 0);

    CHECK_EQUAL(pthread_create(&os_thread, NULL, park_in_os_thread, &other), 0);
    CHECK_EQUAL(osier_park(), 0);
    CHECK(other.id != 0 && other.id != parked.id);
    CHECK_EQUAL(osier_is_finished(other), 0);
    CHECK_EQUAL(osier_unpark(other), 0);
    CHECK_EQUAL(pthread_join(os_thread, NULL), 0);
    /* Known until it has ended. */
    CHECK_EQUAL(osier_unpark(other), ESRCH);
    return arg;
}

int main(void)
{
    osier_settings_t settings = OSIER_SETTINGS_INIT;
    int reports = 0;
    settings.report = report;
    settings.report_arg = &reports;
    CHECK_EQUAL(sem_init(&seen, 0, 0), 0);
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_run_with(&settings, body, NULL, NULL), 0);
    CHECK(reports >= 1);
    puts("passed");
    return 0;
}
