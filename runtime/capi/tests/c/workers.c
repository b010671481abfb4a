/* Several workers: more than one OS thread runs green threads, and those that are local stay where they were spawned. */
#include "check.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int met;

/* Does not wait, so that two can only meet on two OS threads. */
static void *meet(void *arg)
{
    atomic_fetch_add(&met, 1);
    while (atomic_load(&met) < 2)
        ;
    CHECK_EQUAL(osier_on_green_thread(), 1);
    CHECK(osier_self().id != 0);
    *(pid_t *)arg = (pid_t)syscall(SYS_gettid);
    return arg;
}

/* Makes use of its name as soon as it begins, while the one that spawns it may still be at it. */
static void *answer_at_once(void *arg)
{
    osier_thread_t self = osier_self();
    char name[64];
    CHECK_EQUAL(osier_on_green_thread(), 1);
    CHECK_EQUAL(osier_name(self, name, sizeof name), 0);
    CHECK_EQUAL(osier_unpark(self), 0);
    CHECK_EQUAL(osier_park(), 0);
    CHECK_EQUAL(osier_join(self, NULL), EDEADLK);
    return arg;
}

static void *where(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return arg;
}

/* Several at once wait for each other now and then, for a moment. */
static void *keep_errno(void *arg)
{
    for (int i = 0; i < 50000; i++) {
        osier_thread_t self;
        errno = 77;
        self = osier_self();
        CHECK_EQUAL(osier_is_finished(self), 0);
        CHECK_EQUAL(osier_detach(self), EINVAL);
        CHECK_EQUAL(errno, 77);
    }
    return arg;
}

static void *body(void *arg)
{
    osier_attr_t local = OSIER_ATTR_INIT;
    osier_thread_t threads[200];
    pid_t tids[2] = { 0, 0 };
    pthread_t mine = pthread_self(), theirs[200];

    CHECK_EQUAL(os_threads(), 2);
    threads[0] = spawn(meet, &tids[0]);
    threads[1] = spawn(meet, &tids[1]);
    CHECK(join(threads[0]) == &tids[0]);
    CHECK(join(threads[1]) == &tids[1]);
    CHECK(tids[0] != tids[1]);

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 200; i++)
            threads[i] = spawn(answer_at_once, arg);
        for (int i = 0; i < 200; i++)
            CHECK(join(threads[i]) == arg);
    }

    local.local = 1;
    for (int i = 0; i < 200; i++)
        CHECK_EQUAL(osier_spawn(&threads[i], &local, where, &theirs[i]), 0);
    for (int i = 0; i < 200; i++) {
        join(threads[i]);
        CHECK(pthread_equal(mine, theirs[i]));
    }
    return arg;
}

int main(void)
{
    osier_settings_t settings = OSIER_SETTINGS_INIT;
    int here;
    void *result = NULL;
    pthread_t threads[3];
    settings.workers = 2;
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_run_with(&settings, body, &here, &result), 0);
    CHECK(result == &here);
    /* The kernel takes its time to forget one that has ended. */
    for (int i = 0; os_threads() > 1; i++) {
        CHECK(i < 60000);
        usleep(1000);
    }

    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, keep_errno, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    puts("passed");
    return 0;
}
