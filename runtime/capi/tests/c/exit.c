/* The end of the process from a green thread, while others wait. */
#include "check.h"
#include <unistd.h>

static void at_exit(void)
{
    puts("at exit");
}

static void *sleep_long(void *arg)
{
    sleep(3600);
    CHECK(!"woken");
    return arg;
}

static void *leave(void *arg)
{
    (void)arg;
    osier_exit(3);
}

static void *body(void *arg)
{
    osier_thread_t sleeper = spawn(sleep_long, NULL);
    CHECK_EQUAL(osier_yield(), 0);
    join(spawn(leave, NULL));
    join(sleeper);
    return arg;
}

int main(void)
{
    CHECK_EQUAL(atexit(at_exit), 0);
    CHECK_EQUAL(osier_patch_all(), 0);
    fputs("buffered, ", stdout);
    osier_run(body, NULL, NULL);
    return 0;
}
