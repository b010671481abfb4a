/* The header by itself, as strict C and as C++: nothing else is included. */
#include <osier.h>

static void *echo(void *arg)
{
    return arg;
}

int main(void)
{
    osier_settings_t settings = OSIER_SETTINGS_INIT;
    osier_attr_t attr = OSIER_ATTR_INIT;
    void *result = &settings;
    (void)attr;
    settings.workers = 1;
    if (osier_run_with(&settings, echo, NULL, &result) != 0 || result != NULL)
        return 1;
    return OSIER_KILLED == NULL;
}
