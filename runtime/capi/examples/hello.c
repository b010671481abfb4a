/*
 * A hundred green threads that sleep at the same time, on one OS thread: all of it takes a tenth of a second.
 *
 *     cc hello.c -losier_c -o hello && ./hello
 */
#include <osier.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLEEPERS 100

/* What any C code might do. Thanks to the shims usleep() parks the green thread alone. */
static void *nap(void *arg)
{
    usleep(100 * 1000);
    return arg;
}

static void *body(void *arg)
{
    osier_thread_t sleepers[SLEEPERS];
    size_t rested = 0;

    for (size_t i = 0; i < SLEEPERS; i++) {
        int error = osier_spawn(&sleepers[i], NULL, nap, &rested);
        if (error != 0) {
            fprintf(stderr, "osier_spawn: %s\n", strerror(error));
            return NULL;
        }
    }
    for (size_t i = 0; i < SLEEPERS; i++) {
        void *result;
        if (osier_join(sleepers[i], &result) == 0 && result == &rested)
            rested++;
    }
    printf("hello from %zu green threads\n", rested);
    return arg;
}

int main(void)
{
    /* From now on libc's blocking calls park the green thread that makes them. */
    int error = osier_patch_all();
    if (error == 0)
        error = osier_run(body, NULL, NULL);
    if (error != 0)
        fprintf(stderr, "hello: %s\n", strerror(error));
    return error != 0;
}
