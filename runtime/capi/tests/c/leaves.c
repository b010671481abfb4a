/* A function of a green thread that does not return: the process ends with a sentence. */
#include "check.h"
#include <pthread.h>

#ifdef __cplusplus
static void *leave(void *arg)
{
    throw arg;
}
#else
static void *leave(void *arg)
{
    pthread_exit(arg);
}
#endif

static void *body(void *arg)
{
    osier_thread_t thread;
    osier_spawn(&thread, NULL, leave, arg);
    osier_join(thread, NULL);
    return arg;
}

int main(int count, char **words)
{
    (void)words;
    osier_run(count == 1 ? body : leave, NULL, NULL);
    puts("passed");
    return 0;
}
