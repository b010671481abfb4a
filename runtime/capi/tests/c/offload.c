/* Functions on the pool of OS threads: others run meanwhile, and the one that waits is not taken away from what it uses. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>

struct work {
    sem_t begun, go_on;
    pthread_t worker;
    int done;
};

/* Blocks its OS thread. */
static void *block(void *arg)
{
    struct work *work = arg;
    CHECK_EQUAL(osier_on_green_thread(), 0);
    CHECK_EQUAL(osier_spawn(NULL, NULL, block, NULL), EPERM);
    work->worker = pthread_self();
    CHECK_EQUAL(sem_post(&work->begun), 0);
    CHECK_EQUAL(sem_wait(&work->go_on), 0);
    work->done = 1;
    return work;
}

/* What is offloaded lies on its own stack. */
static void *offload(void *arg)
{
    struct work work = { .done = 0 };
    void *result = NULL;
    *(struct work **)arg = &work;
    CHECK_EQUAL(sem_init(&work.begun, 0, 0), 0);
    CHECK_EQUAL(sem_init(&work.go_on, 0, 0), 0);
    errno = 77;
    CHECK_EQUAL(osier_offload(block, &work, &result), 0);
    CHECK_EQUAL(errno, 77);
    CHECK(result == &work);
    CHECK_EQUAL(work.done, 1);
    CHECK(!pthread_equal(work.worker, pthread_self()));
    /* The kill that came meanwhile. */
    CHECK_EQUAL(osier_yield(), ECANCELED);
    return arg;
}

static void *body(void *arg)
{
    struct work *work = NULL;
    osier_thread_t thread = spawn(offload, &work);
    while (work == NULL)
        CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(sem_wait(&work->begun), 0);
    CHECK_EQUAL(osier_kill(thread), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQUAL(osier_yield(), 0);
    CHECK_EQUAL(osier_is_finished(thread), 0);
    CHECK_EQUAL(sem_post(&work->go_on), 0);
    CHECK(join(thread) == &work);
    return arg;
}

int main(void)
{
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_run(body, NULL, NULL), 0);
    puts("passed");
    return 0;
}
