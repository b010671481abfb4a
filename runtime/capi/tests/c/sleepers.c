/* Libc's sleep parks the green thread alone, for the program's own calls and for those of another shared library. */
#include "check.h"
#include <time.h>
#include <unistd.h>

#ifdef OTHER_LIBRARY
/* Calls usleep(), and has never heard of Osier. */
int other_nap(unsigned micros);
#else
#define other_nap usleep
#endif

static int awake;

static void *nap(void *arg)
{
    CHECK_EQUAL(osier_on_green_thread(), 1);
    CHECK_EQUAL(arg == NULL ? usleep(100 * 1000) : other_nap(100 * 1000), 0);
    awake++;
    return arg;
}

static void *body(void *arg)
{
    osier_thread_t threads[100];
    for (int i = 0; i < 100; i++)
        threads[i] = spawn(nap, i % 2 ? arg : NULL);
    for (int i = 0; i < 100; i++)
        CHECK(join(threads[i]) == (i % 2 ? arg : NULL));
    CHECK_EQUAL(os_threads(), 1);
    return arg;
}

/* Every line but the first: name, whether it is linked, whether it is active. */
static void check_report(void)
{
    size_t length = osier_patch_report(NULL, 0);
    char *report = malloc(length + 1);
    int shims = 0;
    CHECK(length > 0 && report != NULL);
    CHECK_EQUAL(osier_patch_report(report, length + 1), length);
    CHECK_EQUAL(strlen(report), length);
    for (char *line = strtok(report, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char name[64], linked[64], active[64];
        CHECK_EQUAL(sscanf(line, "%63s %63s %63s", name, linked, active), 3);
        if (strcmp(name, "function") == 0)
            continue;
        if (strcmp(linked, "yes") != 0)
            fprintf(stderr, "%s\n", line);
        CHECK(strcmp(linked, "yes") == 0);
        shims++;
    }
    CHECK(shims > 80);
    free(report);
}

int main(void)
{
    struct timespec start, end;
    int here = 0;
    void *result = NULL;
    CHECK_EQUAL(osier_patch_all(), 0);
    CHECK_EQUAL(osier_on_green_thread(), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    CHECK_EQUAL(osier_run(body, &here, &result), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(result == &here);
    CHECK_EQUAL(awake, 100);
    /* One after the other it would take 10 s. */
    CHECK(end.tv_sec - start.tv_sec < 5);
    check_report();
    puts("passed");
    return 0;
}
