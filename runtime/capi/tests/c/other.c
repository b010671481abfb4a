/* A shared library that has never heard of Osier. */
#include <unistd.h>

int other_nap(unsigned micros);

int other_nap(unsigned micros)
{
    return usleep(micros);
}
