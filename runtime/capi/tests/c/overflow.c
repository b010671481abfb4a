/* A green thread that needs more stack than it has: the report says whose it was. */
#include "check.h"

static int deeper(volatile int depth)
{
    volatile char block[1024];
    block[0] = (char)depth;
    return depth == 0 ? 0 : deeper(depth - 1) + block[0];
}

static void *overflow(void *arg)
{
    return (void *)(intptr_t)(deeper(1000 * 1000) + *(int *)arg);
}

static void *body(void *arg)
{
    osier_attr_t attr = OSIER_ATTR_INIT;
    attr.name = "baker";
    CHECK_EQUAL(osier_spawn(NULL, &attr, overflow, arg), 0);
    CHECK_EQUAL(osier_yield(), 0);
    return arg;
}

int main(void)
{
    int one = 1;
    osier_run(body, &one, NULL);
    puts("passed");
    return 0;
}
