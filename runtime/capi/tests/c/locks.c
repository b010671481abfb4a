/* Mutexes, condition variables and semaphores of pthreads between green threads, and between those and OS threads; pipes. */
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn, inside;

static void *count_alone(void *arg)
{
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(pthread_mutex_lock(&mutex), 0);
        CHECK_EQUAL(inside++, 0);
        /* Somebody else comes to the mutex, and must wait. */
        osier_yield();
        CHECK_EQUAL(--inside, 0);
        ++*(int *)arg;
        CHECK_EQUAL(pthread_mutex_unlock(&mutex), 0);
    }
    return NULL;
}

static void wait_for_turn(int mine)
{
    CHECK_EQUAL(pthread_mutex_lock(&mutex), 0);
    while (turn != mine)
        CHECK_EQUAL(pthread_cond_wait(&changed, &mutex), 0);
    turn++;
    CHECK_EQUAL(pthread_cond_broadcast(&changed), 0);
    CHECK_EQUAL(pthread_mutex_unlock(&mutex), 0);
}

static void *even_turns(void *arg)
{
    for (int i = 0; i < 100; i += 2)
        wait_for_turn(i);
    return arg;
}

static void *odd_turns(void *arg)
{
    for (int i = 1; i < 100; i += 2)
        wait_for_turn(i);
    return arg;
}

static void *post(void *arg)
{
    CHECK_EQUAL(sem_post(arg), 0);
    return NULL;
}

static void *wait_on_semaphore(void *arg)
{
    CHECK_EQUAL(sem_wait(arg), 0);
    return NULL;
}

static void *write_slowly(void *arg)
{
    for (char c = 'a'; c <= 'z'; c++) {
        osier_yield();
        CHECK_EQUAL(write(*(int *)arg, &c, 1), 1);
    }
    CHECK_EQUAL(close(*(int *)arg), 0);
    return NULL;
}

static void *body(void *arg)
{
    osier_thread_t threads[10];
    pthread_t os_thread;
    sem_t semaphore;
    int total = 0, ends[2];
    char letters[27] = "";
    size_t length = 0;
    ssize_t got;

    for (int i = 0; i < 10; i++)
        threads[i] = spawn(count_alone, &total);
    for (int i = 0; i < 10; i++)
        join(threads[i]);
    CHECK_EQUAL(total, 1000);

    threads[0] = spawn(even_turns, NULL);
    threads[1] = spawn(odd_turns, NULL);
    join(threads[0]);
    join(threads[1]);
    CHECK_EQUAL(turn, 100);

    turn = 0;
    CHECK_EQUAL(os_threads(), 1);
    CHECK_EQUAL(pthread_create(&os_thread, NULL, odd_turns, NULL), 0);
    join(spawn(even_turns, NULL));
    CHECK_EQUAL(pthread_join(os_thread, NULL), 0);
    CHECK_EQUAL(turn, 100);

    CHECK_EQUAL(sem_init(&semaphore, 0, 0), 0);
    threads[0] = spawn(wait_on_semaphore, &semaphore);
    osier_yield();
    join(spawn(post, &semaphore));
    join(threads[0]);

    CHECK_EQUAL(pipe(ends), 0);
    threads[0] = spawn(write_slowly, &ends[1]);
    while ((got = read(ends[0], letters + length, sizeof letters - length)) > 0)
        length += (size_t)got;
    CHECK_EQUAL(got, 0);
    CHECK(strcmp(letters, "abcdefghijklmnopqrstuvwxyz") == 0);
    join(threads[0]);
    CHECK_EQUAL(close(ends[0]), 0);
    return arg;
}

int main(void)
{
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_run(body, NULL, NULL), 0);
    puts("passed");
    return 0;
}
