/* Two runtimes, on two OS threads: names of threads mean the same to both, and nothing is left of any run. */
#include "check.h"
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>

#define THREADS 200
#define RUNS 30

struct side {
    osier_thread_t threads[THREADS];
    sem_t spawned;
    struct side *other;
};

static void *park(void *arg)
{
    CHECK_EQUAL(osier_park(), 0);
    return arg;
}

/* Spawns its own, unparks and joins the other's. */
static void *body(void *arg)
{
    struct side *side = arg;
    for (int i = 0; i < THREADS; i++)
        side->threads[i] = spawn(park, side);
    CHECK_EQUAL(sem_post(&side->spawned), 0);
    CHECK_EQUAL(sem_wait(&side->other->spawned), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQUAL(osier_unpark(side->other->threads[i]), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(join(side->other->threads[i]) == side->other);
    return side;
}

static void *run(void *arg)
{
    osier_settings_t settings = OSIER_SETTINGS_INIT;
    void *result = NULL;
    /* The other side joins those of this one. */
    settings.wait_all = 1;
    CHECK_EQUAL(osier_run_with(&settings, body, arg, &result), 0);
    CHECK(result == arg);
    return arg;
}

static void *never_called(void *arg)
{
    CHECK(!"called");
    return arg;
}

static void *echo(void *arg)
{
    return arg;
}

/* All ways in which a record of a thread is freed. */
static void *every_end(void *arg)
{
    for (int i = 0; i < THREADS; i++) {
        osier_thread_t threads[4];
        for (int j = 0; j < 3; j++)
            threads[j] = spawn(echo, arg);
        threads[3] = spawn(never_called, arg);
        CHECK_EQUAL(osier_spawn(NULL, NULL, echo, arg), 0);
        CHECK_EQUAL(osier_detach(threads[0]), 0);
        CHECK_EQUAL(osier_kill(threads[3]), 0);
        CHECK_EQUAL(i % 2 == 0 ? osier_detach(threads[3]) : osier_join(threads[3], NULL), 0);
        CHECK(join(threads[1]) == arg);
        CHECK_EQUAL(osier_is_finished(threads[2]), 1);
        CHECK_EQUAL(osier_detach(threads[2]), 0);
    }
    return arg;
}

int main(void)
{
    static struct side sides[2];
    size_t after_first = 0, after_last = 0;
    CHECK_EQUAL(osier_patch_all(), 0);
    for (int i = 0; i < RUNS; i++) {
        pthread_t os_thread;
        for (int j = 0; j < 2; j++) {
            sides[j].other = &sides[1 - j];
            CHECK_EQUAL(sem_init(&sides[j].spawned, 0, 0), 0);
        }
        CHECK_EQUAL(pthread_create(&os_thread, NULL, run, &sides[1]), 0);
        run(&sides[0]);
        CHECK_EQUAL(pthread_join(os_thread, NULL), 0);
    }
    for (int i = 0; i < RUNS; i++) {
        CHECK_EQUAL(osier_run(every_end, NULL, NULL), 0);
        after_last = mallinfo2().uordblks;
        if (i == 0)
            after_first = after_last;
    }
    /* A byte for each thread would be more. */
    if (after_last > after_first + RUNS * THREADS / 2)
        fprintf(stderr, "%zu bytes of heap, and %zu after one run\n", after_last, after_first);
    CHECK(after_last <= after_first + RUNS * THREADS / 2);
    puts("passed");
    return 0;
}
