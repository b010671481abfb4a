/* What the tests share: checks that say where they have failed. */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <osier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLI 1000000ull
#define SECOND (1000 * MILLI)
/* Whoever waits that long is ended by something else. */
#define LONG (3600 * SECOND)

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

#define CHECK_EQUAL(given, expected)                                                       \
    do {                                                                                   \
        long long given_ = (long long)(given), expected_ = (long long)(expected);          \
        if (given_ != expected_) {                                                         \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #given,   \
                    given_, expected_);                                                    \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* The OS threads of this process. */
static inline int os_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    CHECK(tasks != NULL);
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count - 2;
}

/* Spawns one that is joined. */
static inline osier_thread_t spawn(osier_function_t *body, void *arg)
{
    osier_thread_t thread;
    CHECK_EQUAL(osier_spawn(&thread, NULL, body, arg), 0);
    return thread;
}

/* What its function has returned. */
static inline void *join(osier_thread_t thread)
{
    void *result = NULL;
    CHECK_EQUAL(osier_join(thread, &result), 0);
    return result;
}

#endif
