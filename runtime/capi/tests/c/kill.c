/* What ends waits: kills, deadlines, the end of the runtime. And what they leave alone. */
#include "check.h"
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

struct log {
    int begun, told, cleaned;
};

static void *never_called(void *arg)
{
    (void)arg;
    CHECK(!"called");
    return NULL;
}

static void *clean_up(void *arg)
{
    struct log *log = arg;
    /* Waits although it was killed. */
    CHECK_EQUAL(osier_sleep(MILLI), 0);
    CHECK_EQUAL(usleep(1000), 0);
    log->cleaned++;
    return arg;
}

/* Is told at each of its waits, whichever they are, and returns when it likes. */
static void *stubborn(void *arg)
{
    struct log *log = arg;
    int ends[2];
    char byte;
    void *result = NULL;

    log->begun++;
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQUAL(recv(ends[0], &byte, 1, 0), -1);
    CHECK_EQUAL(errno, ECANCELED);
    for (int i = 0; i < 3; i++) {
        osier_thread_t other;
        errno = 77;
        CHECK_EQUAL(osier_sleep(LONG), ECANCELED);
        CHECK_EQUAL(osier_park(), ECANCELED);
        CHECK_EQUAL(osier_park_timeout(LONG), ECANCELED);
        CHECK_EQUAL(osier_yield(), ECANCELED);
        CHECK_EQUAL(osier_offload(never_called, NULL, NULL), ECANCELED);
        CHECK_EQUAL(errno, 77);
        CHECK_EQUAL(read(ends[0], &byte, 1), -1);
        CHECK_EQUAL(errno, ECANCELED);
        CHECK_EQUAL(usleep(3600000000u), 0);
        /* A join that is given up leaves the thread to be joined. */
        other = spawn(clean_up, log);
        CHECK_EQUAL(osier_join(other, NULL), ECANCELED);
        CHECK_EQUAL(osier_detach(other), 0);
        log->told++;
    }
    CHECK_EQUAL(osier_shield(clean_up, log, &result), 0);
    CHECK(result == log);
    CHECK_EQUAL(close(ends[0]) | close(ends[1]), 0);
    return log;
}

static void *park(void *arg)
{
    return osier_park() == 0 ? arg : NULL;
}

static void *kill_myself(void *arg)
{
    CHECK_EQUAL(osier_kill(osier_self()), 0);
    CHECK_EQUAL(osier_yield(), ECANCELED);
    return arg;
}

static void *look_at_deadlines(void *arg)
{
    int ends[2];
    char byte;
    CHECK_EQUAL(pipe(ends), 0);
    CHECK_EQUAL(read(ends[0], &byte, 1), -1);
    CHECK_EQUAL(errno, ETIMEDOUT);
    CHECK_EQUAL(osier_sleep(LONG), ETIMEDOUT);
    CHECK_EQUAL(osier_park(), ETIMEDOUT);
    CHECK_EQUAL(close(ends[0]) | close(ends[1]), 0);
    return arg;
}

static void *outlast(void *arg)
{
    void *result = NULL;
    CHECK_EQUAL(osier_timeout(LONG, look_at_deadlines, arg, &result), 0);
    CHECK(result == arg);
    return arg;
}

static void *nothing(void *arg)
{
    return arg;
}

static void *body(void *arg)
{
    struct log *log = arg;
    void *result = log;
    osier_thread_t thread, parked;

    /* Killed before it begins. */
    thread = spawn(never_called, NULL);
    CHECK_EQUAL(osier_kill(thread), 0);
    CHECK_EQUAL(osier_kill(thread), 0);
    CHECK_EQUAL(osier_join(thread, &result), 0);
    CHECK(result == OSIER_KILLED);
    CHECK_EQUAL(osier_join(thread, &result), ESRCH);

    thread = spawn(stubborn, log);
    CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(log->begun, 1);
    CHECK_EQUAL(osier_join_timeout(thread, &result, MILLI), ETIMEDOUT);
    CHECK_EQUAL(osier_join_timeout(thread, &result, 0), ETIMEDOUT);
    CHECK_EQUAL(osier_is_finished(thread), 0);
    CHECK_EQUAL(osier_kill(thread), 0);
    CHECK_EQUAL(osier_is_finished(thread), 0);
    CHECK_EQUAL(osier_join_timeout(thread, &result, LONG), 0);
    CHECK(result == log);
    CHECK_EQUAL(osier_is_finished(thread), 1);
    CHECK_EQUAL(log->told, 3);
    /* Those that it has detached may still be at it. */
    CHECK(log->cleaned >= 1);

    CHECK(join(spawn(kill_myself, log)) == log);

    parked = spawn(park, log);
    CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(osier_unpark(parked), 0);
    CHECK(join(parked) == log);

    CHECK_EQUAL(osier_timeout(2 * MILLI, outlast, log, &result), ETIMEDOUT);
    CHECK(result == log);
    CHECK_EQUAL(osier_timeout(LONG, nothing, NULL, &result), 0);
    CHECK(result == NULL);
    CHECK_EQUAL(osier_yield(), 0);
    return arg;
}

/* Leaves some behind that wait. */
static void *leave(void *arg)
{
    struct log *logs = arg;
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(osier_spawn(NULL, NULL, stubborn, &logs[i]), 0);
    CHECK_EQUAL(osier_yield(), 0);
    return arg;
}

int main(void)
{
    struct log log = { 0, 0, 0 }, logs[10] = { { 0, 0, 0 } };
    void *result = NULL;
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_run(body, &log, &result), 0);
    CHECK(result == &log);

    CHECK_EQUAL(osier_run(leave, logs, NULL), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQUAL(logs[i].begun, 1);
        CHECK_EQUAL(logs[i].told, 3);
        CHECK(logs[i].cleaned >= 1);
    }

    /* Off a green thread. */
    CHECK_EQUAL(osier_timeout(2 * MILLI, park, NULL, &result), ETIMEDOUT);
    puts("passed");
    return 0;
}
