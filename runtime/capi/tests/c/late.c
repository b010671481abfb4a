/* The library is opened when the program runs: then libc's functions are in front of the shims, and it says so. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>

int main(int count, char **words)
{
    void *library = dlopen(count > 1 ? words[1] : NULL, RTLD_NOW | RTLD_GLOBAL);
    int (*patch_all)(void);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    *(void **)&patch_all = dlsym(library, "osier_patch_all");
    if (patch_all == NULL)
        return 3;
    puts(patch_all() == ENOTSUP ? "too late" : "in time");
    return 0;
}
