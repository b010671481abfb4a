/* What the child of a fork has of the runtime: the green thread that forked, and one of its own. */
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

static int told[2];

/* Runs in the parent alone. */
static void *neighbour(void *arg)
{
    CHECK_EQUAL(osier_park(), 0);
    CHECK_EQUAL(write(told[1], "x", 1), 1);
    return arg;
}

static void *nap(void *arg)
{
    CHECK_EQUAL(osier_sleep(MILLI), 0);
    return arg;
}

static void *own(void *arg)
{
    return join(spawn(nap, arg));
}

static void *forks(void *arg)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        void *result = NULL;
        CHECK_EQUAL(usleep(1000), 0);
        CHECK_EQUAL(osier_yield(), 0);
        CHECK_EQUAL(osier_run(own, &result, &result), 0);
        CHECK(result == &result);
        return NULL;
    }
    *(pid_t *)arg = child;
    return arg;
}

static void *body(void *arg)
{
    osier_thread_t parked = spawn(neighbour, NULL);
    pid_t child;
    int status;
    char byte;
    CHECK_EQUAL(osier_yield(), 0);
    join(spawn(forks, &child));
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(osier_unpark(parked), 0);
    join(parked);
    CHECK_EQUAL(close(told[1]), 0);
    CHECK_EQUAL(read(told[0], &byte, 1), 1);
    CHECK_EQUAL(read(told[0], &byte, 1), 0);
    return arg;
}

int main(void)
{
    CHECK_EQUAL(pipe(told), 0);
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_run(body, NULL, NULL), 0);
    puts("passed");
    return 0;
}
