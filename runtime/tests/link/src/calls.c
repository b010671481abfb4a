// What C code calls that has never heard of Osier. `CALLS` is the name of the table, the only thing that others see.

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int wait_for_input(int fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    return poll(&entry, 1, -1) == 1 && entry.revents == POLLIN;
}

static int receive_byte(int fd) {
    char byte;
    return recv(fd, &byte, 1, 0) == 1;
}

// As distributions compile it, with checks of what the compiler cannot know: this calls `__recv_chk`.
static int receive_checked(int fd) {
    char byte;
    volatile size_t len = 1;
    return recv(fd, &byte, len, 0) == 1;
}

static int lock(int fd) {
    (void)fd;
    return pthread_mutex_lock(&mutex) == 0;
}

static int unlock(int fd) {
    (void)fd;
    return pthread_mutex_unlock(&mutex) == 0;
}

// As an allocator does that waits for another OS thread: nobody may run meanwhile who shares its own.
static int yield_often(int times) {
    int yielded = 0;
    for (int i = 0; i < times; i++)
        yielded += sched_yield() == 0;
    return yielded == times;
}

struct calls {
    int (*wait_for_input)(int fd);
    int (*receive_byte)(int fd);
    int (*receive_checked)(int fd);
    int (*lock)(int fd);
    int (*unlock)(int fd);
    int (*yield_often)(int times);
};

const struct calls CALLS = {wait_for_input, receive_byte, receive_checked, lock, unlock, yield_often};
