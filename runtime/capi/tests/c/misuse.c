/* What makes no sense is an error, and nothing else. */
#include "check.h"
#include <pthread.h>

static const osier_thread_t nobody = { 0 }, unknown = { UINT64_MAX };

static void *echo(void *arg)
{
    return arg;
}

static void *park(void *arg)
{
    osier_park();
    return arg;
}

static void *join_slowly(void *arg)
{
    void *result = NULL;
    CHECK_EQUAL(osier_join(*(osier_thread_t *)arg, &result), 0);
    return result;
}

/* The same answers on a green thread and off. */
static void anywhere(void)
{
    osier_settings_t settings = OSIER_SETTINGS_INIT;
    char name[8];
    struct {
        osier_attr_t attr;
        char newer[16];
    } attr = { OSIER_ATTR_INIT, "" };
    osier_thread_t thread = { 77 };

    CHECK_EQUAL(osier_run(NULL, NULL, NULL), EINVAL);
    settings.size = 3;
    CHECK_EQUAL(osier_run_with(&settings, echo, NULL, NULL), EINVAL);
    settings.size = (size_t)-1;
    CHECK_EQUAL(osier_run_with(&settings, echo, NULL, NULL), EINVAL);

    CHECK_EQUAL(osier_spawn(&thread, NULL, NULL, NULL), EINVAL);
    CHECK_EQUAL(osier_spawn(NULL, NULL, NULL, NULL), EINVAL);
    attr.attr.size = sizeof attr;
    attr.newer[15] = 1;
    CHECK_EQUAL(osier_spawn(&thread, &attr.attr, echo, NULL), E2BIG);
    attr.attr.size = 0;
    CHECK_EQUAL(osier_spawn(&thread, &attr.attr, echo, NULL), EINVAL);
    attr.attr = (osier_attr_t)OSIER_ATTR_INIT;
    attr.attr.name = "\xff";
    CHECK_EQUAL(osier_spawn(&thread, &attr.attr, echo, NULL), EINVAL);
    CHECK_EQUAL(thread.id, 77);

    for (int i = 0; i < 2; i++) {
        osier_thread_t none = i == 0 ? nobody : unknown;
        CHECK_EQUAL(osier_join(none, NULL), ESRCH);
        CHECK_EQUAL(osier_join_timeout(none, NULL, LONG), ESRCH);
        CHECK_EQUAL(osier_detach(none), ESRCH);
        CHECK_EQUAL(osier_kill(none), ESRCH);
        CHECK_EQUAL(osier_unpark(none), ESRCH);
        CHECK_EQUAL(osier_name(none, name, sizeof name), ESRCH);
        CHECK_EQUAL(osier_is_finished(none), 1);
    }
    CHECK_EQUAL(osier_name(osier_self(), NULL, 0), EINVAL);
    CHECK_EQUAL(osier_name(osier_self(), name, 0), ERANGE);
    CHECK_EQUAL(osier_join(osier_self(), NULL), EDEADLK);
    CHECK_EQUAL(osier_offload(NULL, NULL, NULL), EINVAL);
    CHECK_EQUAL(osier_timeout(LONG, NULL, NULL, NULL), EINVAL);
    CHECK_EQUAL(osier_shield(NULL, NULL, NULL), EINVAL);

    CHECK_EQUAL(osier_patch_group((osier_patch_group_t)(OSIER_PATCH_IPC + 1)), EINVAL);
    CHECK_EQUAL(osier_patch_group((osier_patch_group_t)-1), EINVAL);
    CHECK_EQUAL(osier_patch_is_active((osier_patch_group_t)-1), 0);
    CHECK(osier_patch_report(NULL, 0) > 0);
    CHECK(osier_patch_report(NULL, 10) > 0);
    strcpy(name, "1234567");
    CHECK(osier_patch_report(name, 1) > 0);
    CHECK(name[0] == '\0' && name[1] == '2');
    CHECK(osier_patch_report(name, 4) > 0);
    CHECK(strcmp(name, "fun") == 0 && name[4] == '5');
    CHECK_EQUAL(osier_patch_report(name, 0), osier_patch_report(NULL, 0));
    CHECK(name[0] == 'f');
}

static void *body(void *arg)
{
    osier_thread_t thread, joiner;
    void *result = arg;

    anywhere();
    CHECK_EQUAL(osier_run(echo, NULL, NULL), EBUSY);

    /* Main is not joined. */
    CHECK_EQUAL(osier_detach(osier_self()), EINVAL);
    CHECK_EQUAL(osier_kill(osier_self()), EINVAL);
    CHECK_EQUAL(osier_is_finished(osier_self()), 0);

    /* Once. */
    thread = spawn(echo, &thread);
    CHECK(join(thread) == &thread);
    CHECK_EQUAL(osier_join(thread, &result), ESRCH);
    CHECK_EQUAL(osier_detach(thread), ESRCH);
    CHECK_EQUAL(osier_kill(thread), ESRCH);
    CHECK(result == arg);

    /* Detached, while it is there and after. */
    thread = spawn(park, NULL);
    CHECK_EQUAL(osier_detach(thread), 0);
    CHECK_EQUAL(osier_detach(thread), EINVAL);
    CHECK_EQUAL(osier_join(thread, NULL), EINVAL);
    CHECK_EQUAL(osier_unpark(thread), 0);
    while (!osier_is_finished(thread))
        CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(osier_detach(thread), ESRCH);
    thread = spawn(echo, NULL);
    CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(osier_is_finished(thread), 1);
    CHECK_EQUAL(osier_kill(thread), 0);
    CHECK_EQUAL(osier_detach(thread), 0);
    CHECK_EQUAL(osier_detach(thread), ESRCH);

    /* By one at a time. */
    thread = spawn(park, &thread);
    joiner = spawn(join_slowly, &thread);
    CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(osier_join(thread, NULL), EINVAL);
    CHECK_EQUAL(osier_detach(thread), EINVAL);
    CHECK_EQUAL(osier_unpark(thread), 0);
    CHECK(join(joiner) == &thread);

    /* One that is joined when the runtime has ended. */
    *(osier_thread_t *)arg = spawn(echo, arg);
    CHECK_EQUAL(osier_yield(), 0);
    return arg;
}

static void *in_os_thread(void *arg)
{
    CHECK_EQUAL(osier_spawn(arg, NULL, echo, NULL), EPERM);
    anywhere();
    return arg;
}

int main(void)
{
    osier_thread_t thread = { 0 };
    osier_settings_t settings = OSIER_SETTINGS_INIT;
    pthread_t os_thread;
    void *result = NULL;

    CHECK(strcmp(osier_version(), OSIER_VERSION) == 0);
    CHECK_EQUAL(osier_patch_is_active(OSIER_PATCH_SLEEP), 0);
    CHECK_EQUAL(osier_patch_group(OSIER_PATCH_SLEEP), 0);
    CHECK_EQUAL(osier_patch_is_active(OSIER_PATCH_SLEEP), 1);
    CHECK_EQUAL(osier_patch_is_active(OSIER_PATCH_NET), 0);
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_patch_is_active(OSIER_PATCH_FILE_LOCK), 1);
    CHECK_EQUAL(osier_patch_is_active(OSIER_PATCH_IPC), 1);
    CHECK_EQUAL(osier_patch_is_active(OSIER_PATCH_FILE), 0);
    CHECK_EQUAL(osier_patch_group(OSIER_PATCH_FILE), 0);
    CHECK_EQUAL(osier_patch_is_active(OSIER_PATCH_FILE), 1);

    /* Off a green thread. */
    anywhere();
    CHECK_EQUAL(osier_spawn(&thread, NULL, echo, NULL), EPERM);
    CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(osier_sleep(1), 0);
    CHECK_EQUAL(osier_park_timeout(1), 0);
    CHECK_EQUAL(osier_unpark(osier_self()), 0);
    CHECK_EQUAL(osier_park(), 0);
    CHECK_EQUAL(osier_offload(echo, &thread, &result), 0);
    CHECK(result == &thread);
    CHECK(osier_now() > 0);
    CHECK_EQUAL(pthread_create(&os_thread, NULL, in_os_thread, &thread), 0);
    CHECK_EQUAL(pthread_join(os_thread, NULL), 0);

    CHECK_EQUAL(osier_run_with(NULL, body, &thread, &result), 0);
    CHECK(result == &thread);
    CHECK(join(thread) == &thread);

    /* More than the machine has. */
    settings.main_stack_size = (size_t)1 << 60;
    CHECK_EQUAL(osier_run_with(&settings, body, &thread, &result), EAGAIN);
    settings.workers = (size_t)-1;
    CHECK_EQUAL(osier_run_with(&settings, body, &thread, &result), EINVAL);
    CHECK_EQUAL(osier_run(echo, NULL, &result), 0);
    CHECK(result == NULL);
    puts("passed");
    return 0;
}
