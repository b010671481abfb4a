/* What can be set: reports, the end, the clock, the order, stacks and names. */
#include "check.h"
#include <stddef.h>

/* As the library has them. */
_Static_assert(sizeof(osier_settings_t) == 80 && sizeof(osier_attr_t) == 32, "sizes");
_Static_assert(offsetof(osier_settings_t, wait_all) == 56 && offsetof(osier_settings_t, report) == 64, "offsets");
_Static_assert(offsetof(osier_attr_t, local) == 24, "offset");

struct reports {
    int counts[3];
    char text[4096];
};

static void report(osier_report_t what, const char *text, void *report_arg)
{
    struct reports *reports = report_arg;
    /* It is called in the middle of things, but not in another runtime. */
    CHECK_EQUAL(osier_on_green_thread(), 0);
    reports->counts[what]++;
    snprintf(reports->text, sizeof reports->text, "%s", text);
}

static osier_settings_t reporting(struct reports *reports)
{
    osier_settings_t settings = OSIER_SETTINGS_INIT;
    memset(reports, 0, sizeof *reports);
    settings.report = report;
    settings.report_arg = reports;
    return settings;
}

static void *join_it(void *arg)
{
    CHECK_EQUAL(osier_join(*(osier_thread_t *)arg, NULL), ECANCELED);
    return arg;
}

/* Two that wait for each other. */
static void *circle(void *arg)
{
    osier_thread_t threads[2];
    osier_attr_t attr = OSIER_ATTR_INIT;
    attr.name = "baker";
    CHECK_EQUAL(osier_spawn(&threads[0], &attr, join_it, &threads[1]), 0);
    attr.name = "brewer";
    CHECK_EQUAL(osier_spawn(&threads[1], &attr, join_it, &threads[0]), 0);
    /* Its own wait ends as well. */
    CHECK_EQUAL(osier_park(), ECANCELED);
    for (int i = 0; i < 2; i++) {
        /* Until the other one has given up its join. */
        while (osier_detach(threads[i]) == EINVAL)
            CHECK_EQUAL(osier_yield(), ECANCELED);
    }
    return arg;
}

static void *park(void *arg)
{
    CHECK_EQUAL(osier_park(), ECANCELED);
    return arg;
}

/* Takes no notice of its kill for a while. */
static void *linger(void *arg)
{
    struct reports *reports = arg;
    while (reports->counts[OSIER_REPORT_LEFT] == 0)
        CHECK_EQUAL(osier_sleep(LONG), ECANCELED);
    return arg;
}

static void *leave_lingerer(void *arg)
{
    osier_attr_t attr = OSIER_ATTR_INIT;
    attr.name = "lingerer";
    CHECK_EQUAL(osier_spawn(NULL, &attr, linger, arg), 0);
    CHECK_EQUAL(osier_yield(), 0);
    return arg;
}

static void *set_when_slept(void *arg)
{
    if (osier_sleep(LONG) == 0)
        *(int *)arg = 1;
    return arg;
}

/* In virtual time. */
static void *leave_sleeper(void *arg)
{
    uint64_t start = osier_now();
    CHECK_EQUAL(osier_sleep(LONG), 0);
    CHECK_EQUAL(osier_now() - start, LONG);
    CHECK_EQUAL(osier_spawn(NULL, NULL, set_when_slept, arg), 0);
    return arg;
}

struct order {
    int at;
    char letters[27];
};

static struct order *order;

static void *append(void *arg)
{
    order->letters[order->at++] = (char)(intptr_t)arg;
    return NULL;
}

static void *all_letters(void *arg)
{
    osier_thread_t threads[26];
    order = arg;
    memset(order, 0, sizeof *order);
    for (int i = 0; i < 26; i++)
        threads[i] = spawn(append, (void *)(intptr_t)('a' + i));
    for (int i = 0; i < 26; i++)
        join(threads[i]);
    return NULL;
}

static char filled(size_t size)
{
    volatile char block[1024];
    memset((char *)block, 1, sizeof block);
    return size <= sizeof block ? block[0] : (char)(block[7] & filled(size - sizeof block));
}

static void *fill_stack(void *arg)
{
    CHECK_EQUAL(filled((size_t)arg), 1);
    return arg;
}

static void *names_and_stacks(void *arg)
{
    osier_attr_t attr = OSIER_ATTR_INIT;
    osier_thread_t named, unnamed;
    char name[32], expected[32];
    void *size = (void *)(size_t)(3 * 1024 * 1024);

    attr.name = "baker";
    attr.stack_size = 4 * 1024 * 1024;
    CHECK_EQUAL(osier_spawn(&named, &attr, fill_stack, size), 0);
    unnamed = spawn(fill_stack, (void *)1024);
    CHECK_EQUAL(osier_name(named, name, sizeof name), 0);
    CHECK(strcmp(name, "baker") == 0);
    CHECK_EQUAL(osier_name(named, name, 5), ERANGE);
    CHECK_EQUAL(osier_name(named, name, 6), 0);
    CHECK_EQUAL(osier_name(unnamed, name, sizeof name), 0);
    snprintf(expected, sizeof expected, "green-thread-%llu", (unsigned long long)unnamed.id);
    CHECK(strcmp(name, expected) == 0);
    CHECK_EQUAL(osier_name(osier_self(), name, sizeof name), 0);
    CHECK(strcmp(name, "main") == 0);
    CHECK(join(named) == size);
    join(unnamed);

    /* More than there is: told by the join. */
    attr.stack_size = (size_t)1 << 60;
    CHECK_EQUAL(osier_spawn(&named, &attr, fill_stack, size), 0);
    CHECK_EQUAL(osier_join(named, NULL), ENOMEM);
    CHECK_EQUAL(osier_join(named, NULL), ESRCH);
    return arg;
}

int main(void)
{
    struct reports reports;
    osier_settings_t settings = reporting(&reports);
    struct order plain, seeded, again;
    int woken = 0;
    void *result = NULL;

    CHECK_EQUAL(osier_run_with(&settings, circle, &woken, &result), EDEADLK);
    CHECK(result == &woken);
    CHECK_EQUAL(reports.counts[OSIER_REPORT_DEADLOCK], 1);
    CHECK(strstr(reports.text, "'baker'") && strstr(reports.text, "'brewer'") && strstr(reports.text, "in a circle"));

    CHECK_EQUAL(osier_run_with(&settings, park, &woken, &result), EDEADLK);
    CHECK_EQUAL(reports.counts[OSIER_REPORT_DEADLOCK], 2);
    CHECK_EQUAL(reports.counts[OSIER_REPORT_STUCK], 0);
    /* To standard error. */
    CHECK_EQUAL(osier_run(park, &woken, &result), EDEADLK);

    settings = reporting(&reports);
    settings.grace = MILLI;
    CHECK_EQUAL(osier_run_with(&settings, leave_lingerer, &reports, NULL), 0);
    CHECK_EQUAL(reports.counts[OSIER_REPORT_LEFT], 1);
    CHECK(strstr(reports.text, "'lingerer'") != NULL);

    settings = (osier_settings_t)OSIER_SETTINGS_INIT;
    settings.fake_clock = 1;
    CHECK_EQUAL(osier_run_with(&settings, leave_sleeper, &woken, NULL), 0);
    CHECK_EQUAL(woken, 0);
    settings.wait_all = 1;
    CHECK_EQUAL(osier_run_with(&settings, leave_sleeper, &woken, NULL), 0);
    CHECK_EQUAL(woken, 1);

    settings = (osier_settings_t)OSIER_SETTINGS_INIT;
    CHECK_EQUAL(osier_run_with(&settings, all_letters, &plain, NULL), 0);
    CHECK(strcmp(plain.letters, "abcdefghijklmnopqrstuvwxyz") == 0);
    settings.seed = 7;
    CHECK_EQUAL(osier_run_with(&settings, all_letters, &seeded, NULL), 0);
    CHECK_EQUAL(osier_run_with(&settings, all_letters, &again, NULL), 0);
    CHECK(strcmp(plain.letters, seeded.letters) != 0);
    CHECK(strcmp(again.letters, seeded.letters) == 0);

    settings = (osier_settings_t)OSIER_SETTINGS_INIT;
    settings.main_stack_size = 4 * 1024 * 1024;
    settings.stack_size = 2 * 1024 * 1024;
    CHECK_EQUAL(osier_run_with(&settings, fill_stack, (void *)(size_t)(3 * 1024 * 1024), NULL), 0);
    CHECK_EQUAL(osier_run_with(&settings, names_and_stacks, &woken, NULL), 0);
    puts("passed");
    return 0;
}
