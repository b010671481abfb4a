/*
 * Osier for C: green threads, and shims that make libc's blocking calls park the green thread that calls instead of the
 * OS thread.
 *
 *     #include <osier.h>
 *     #include <stdio.h>
 *     #include <unistd.h>
 *
 *     static void *nap(void *arg)
 *     {
 *         usleep(100 * 1000);          // others run meanwhile
 *         return arg;
 *     }
 *
 *     static void *body(void *arg)
 *     {
 *         osier_thread_t threads[100];
 *         for (int i = 0; i < 100; i++)
 *             osier_spawn(&threads[i], NULL, nap, NULL);
 *         for (int i = 0; i < 100; i++)
 *             osier_join(threads[i], NULL);
 *         return arg;
 *     }
 *
 *     int main(void)
 *     {
 *         osier_patch_all();
 *         return osier_run(body, NULL, NULL);    // 0.1 s, on one OS thread
 *     }
 *
 * HOW TO LINK. cc program.c -losier_c, with -losier_c before any other library that stands for libc (-lpthread, -lc): the
 * first definition of `read` and the others is the one that the whole process uses, C libraries included. Or the
 * archive: cc program.c libosier_c.a -lm. Preloading (LD_PRELOAD) works as well. A library that is opened by dlopen() comes
 * too late, which osier_patch_all() then says. A program must not define functions of its own with the names of shims, as
 * `wait` or `send`.
 *
 * WHAT FUNCTIONS RETURN. 0, or one of <errno.h>'s numbers, as those of pthreads do; they leave `errno` itself alone. Times are
 * nanoseconds. Where a result is stored (`void **result`), NULL says that it is not wanted. Unless a comment says
 * otherwise a function may be called on any thread, green or OS, of any runtime or of none; but not in a signal handler.
 *
 * HOW A GREEN THREAD ENDS. Its function returns; there is nothing else. It is never unwound, and its stack never thrown
 * away. A kill (osier_kill, and the end of osier_run) and a deadline (osier_timeout) end *waits*: the one that it is in, and
 * each later one. A wait of this header then returns ECANCELED or ETIMEDOUT, so does a shim of libc's (as -1 and errno;
 * a sleep merely ends early, and a wait for a lock goes on until it gets it, since their callers know no such error). The
 * function is expected to clean up and return. One that does not is told again at each wait, and keeps osier_run() from
 * returning; others run in between. Cleaning up that must wait is done in osier_shield().
 *
 * So: no pthread_exit(), no longjmp() and no C++ exception out of a function that was given to Osier. The first and the
 * last abort the process with a sentence.
 *
 * WHAT GREEN THREADS SHARE. All that threads of a process share, and also what belongs to their OS thread: _Thread_local variables
 * and pthread_self(). `errno` is safe: it belongs to the OS thread, and a shim sets it last. Unless `workers` was set they
 * never run at the same time, and take turns only where one of them waits; a green thread never changes its OS thread.
 *
 * LIMITS. A stack is 256 KiB unless set, and an overflow ends the process with a report of whose it was; compile with
 * -fstack-clash-protection if frames may be larger than 64 KiB. Of <stdio.h>'s streams calls do not go through shims, and a
 * stream is locked for the OS thread: use descriptors for sockets and pipes. What each shim does, and what none is for, is in the
 * documentation of the Rust crate, under `osier::patch`.
 *
 * FORKS. In the child of a fork() on a green thread the others are gone; it goes on as if on a plain OS thread, without shims, and
 * may call osier_run(). When its function returns the process ends with status 0, and what <stdio.h> has buffered is not written. In
 * a process with several OS threads, or with several workers, the child may only call exec or _exit(), as always.
 *
 * Linux with glibc, x86-64. C99, C11, C++.
 */
#ifndef OSIER_H
#define OSIER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header. */
#define OSIER_VERSION "0.1.0"

/* The version of the library: a string that is never freed. Never waits. */
const char *osier_version(void);

/*
 * A thread, green or OS, named by a number: no two of a process are alike, also after one has ended, so a name that is out of date
 * harms nobody. Copy it as you like. `id` is above 0, and the number that reports show; a thread with `id` 0 is none.
 */
typedef struct osier_thread {
    uint64_t id;
} osier_thread_t;

/* What a green thread runs. */
typedef void *osier_function_t(void *arg);

/*
 * What osier_join stores of a green thread that was killed before it began: its function was never called, and its `arg`
 * is still whoever's it was. As pthread's PTHREAD_CANCELED.
 */
#define OSIER_KILLED ((void *)-1)


/* ---- The runtime ---- */

/* What a text is about that `report` of the settings is given. */
typedef enum osier_report {
    /* Nobody can run any more: osier_run returns EDEADLK. */
    OSIER_REPORT_DEADLOCK = 0,
    /* Nobody can run, unless another OS thread of the process wakes somebody. */
    OSIER_REPORT_STUCK = 1,
    /* `grace` is over, and these have not ended since they were killed. */
    OSIER_REPORT_LEFT = 2
} osier_report_t;

/*
 * Settings of a runtime. Begin with OSIER_SETTINGS_INIT: `size` says which fields your header had, so that later versions can
 * add some. In every other field 0 is the default. A size that a library does not know is an error (E2BIG) only if one
 * of the fields that it does not know was set.
 */
typedef struct osier_settings {
    size_t size;            /* sizeof(osier_settings_t) */
    size_t workers;         /* OS threads that run green threads, the caller among them; default 1, at most 4096 */
    size_t stack_size;      /* bytes of a green thread's stack; default 256 KiB, of which only touched pages cost memory */
    size_t main_stack_size; /* bytes of the main green thread's stack; default 8 MiB */
    size_t offload_threads; /* the most OS threads for osier_offload and look-ups of names; default 64 */
    uint64_t grace;         /* nanoseconds after the kill at the end when `report` is told who is left; default: it is not */
    uint64_t seed;          /* picks who runs next at random, the same way for the same seed; default: first in, first out */
    int wait_all;           /* not 0: the end waits for all green threads instead of killing them */
    int fake_clock;         /* not 0: the time stands still while anybody runs, and jumps to the next deadline when nobody can */
    /*
     * Told of deadlocks and the like in a text of several lines, without a newline at its end; valid during the call, which is
     * made on the OS thread of osier_run_with. It must not wait; it may call those functions of this header that never wait.
     * Default: what is OSIER_REPORT_DEADLOCK or OSIER_REPORT_LEFT goes to standard error.
     */
    void (*report)(osier_report_t what, const char *text, void *report_arg);
    void *report_arg;
} osier_settings_t;

#define OSIER_SETTINGS_INIT { sizeof(osier_settings_t), 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL }

/*
 * Runs `body(arg)` as the main green thread of a new runtime, and stores what it returns. The OS thread that calls runs green
 * threads until `body` has returned. Those that are left are then killed: this returns when each function has
 * returned. None of them has ended by force, and nothing outlives the call but names of threads that nobody has joined. One
 * that waits for a lock which nobody gives back keeps it from returning; if nobody is left who could, the process aborts with
 * a report.
 *
 *   EINVAL   `body` is NULL
 *   EBUSY    a runtime runs on this OS thread already: this is one of its green threads
 *   EDEADLK  nobody could run any more and nobody outside could change that: they waited for each other in a circle, or all for
 *            each other while the process has no other OS thread. All were killed, and `body` has returned. Who waited for what is
 *            on standard error.
 *   EAGAIN   no memory for the stack or no OS thread: `body` was not called. Standard error says which
 *   EMFILE.. other errors of the system: `body` was not called
 */
int osier_run(osier_function_t *body, void *arg, void **result);

/*
 * osier_run with settings; NULL for none.
 *
 *   as osier_run, and
 *   EINVAL   `size` is too small to be one, or a field makes no sense
 *   E2BIG    a field is set that this library does not know
 */
int osier_run_with(const osier_settings_t *settings, osier_function_t *body, void *arg, void **result);

/*
 * Ends the process, as exit(): on a green thread exit() itself would run destructors of C++ thread_local variables in the middle
 * of other green threads' work. What atexit() has registered is called on an OS thread of its own. Off a green thread it is exit().
 */
void osier_exit(int status) __attribute__((__noreturn__));


/* ---- Green threads ---- */

/* Settings of a green thread, to be begun with OSIER_ATTR_INIT. See osier_settings_t. */
typedef struct osier_attr {
    size_t size;       /* sizeof(osier_attr_t) */
    const char *name;  /* for reports, in UTF-8; copied. Default: `green-thread-7`, after its id */
    size_t stack_size; /* bytes; default: that of the runtime */
    /*
     * Not 0: it runs on the OS thread of the one that spawns it, and so never at the same time. Of other new green threads the
     * runtime gives some to another worker, if there is one.
     */
    int local;
} osier_attr_t;

#define OSIER_ATTR_INIT { sizeof(osier_attr_t), NULL, 0, 0 }

/*
 * Queues a green thread that will run `body(arg)`, and stores its name. It runs when its turn comes: this never waits and never
 * switches. `attr` may be NULL. With `thread` NULL it is detached from the start; else it must be joined or detached,
 * once, or a small record of it is never freed.
 *
 *   EINVAL   `body` is NULL, `attr->size` is too small, or the name is not UTF-8
 *   E2BIG    a field of `attr` is set that this library does not know
 *   EPERM    no runtime runs on this OS thread
 */
int osier_spawn(osier_thread_t *thread, const osier_attr_t *attr, osier_function_t *body, void *arg);

/*
 * Waits until a green thread has ended, stores what its function has returned, and frees its record. Works from anywhere, also
 * after osier_run has returned. That a green thread was killed does not show here if its function has returned all the
 * same: it had begun, and its result is a result. One that never began gives OSIER_KILLED.
 *
 *   ESRCH      there is no such thread, or it was joined already
 *   EINVAL     it was detached, somebody else joins it, it is the main green thread or an OS thread
 *   EDEADLK    it is the one that calls
 *   ENOMEM     there was no memory for its stack: its function was never called. Its record is freed
 *   ECANCELED  the one that calls was killed: the thread can still be joined
 *   ETIMEDOUT  an osier_timeout of the one that calls is over: as above
 */
int osier_join(osier_thread_t thread, void **result);

/*
 * osier_join, for so many nanoseconds at most.
 *
 *   as osier_join, and
 *   ETIMEDOUT  it has not ended in that time: it can still be joined
 */
int osier_join_timeout(osier_thread_t thread, void **result, uint64_t nanoseconds);

/*
 * Nobody will join it: its record is freed when it ends. Never waits.
 *
 *   ESRCH    there is no such thread, or it was joined already
 *   EINVAL   it was detached already, somebody joins it, it is the main green thread or an OS thread
 */
int osier_detach(osier_thread_t thread);

/*
 * Has a green thread end: its wait, this one or else its next one, and each later one, end with ECANCELED, and it is for its
 * function to return. One that has not begun never does. Never waits: join it to wait for its end. May be called again, and
 * for one that has ended; by a green thread for itself too.
 *
 *   ESRCH    there is no such thread, or it was joined already
 *   EINVAL   it is the main green thread or an OS thread
 */
int osier_kill(osier_thread_t thread);

/* Whether a thread has ended, so that joining it would not wait; not 0 for one that does not exist (any more). Never waits. */
int osier_is_finished(osier_thread_t thread);

/*
 * Writes a thread's name and a zero byte. Unnamed ones have a name made of their id. Never waits.
 *
 *   ESRCH    there is no such thread (any more)
 *   EINVAL   `buffer` is NULL
 *   ERANGE   it does not fit into `size` bytes
 */
int osier_name(osier_thread_t thread, char *buffer, size_t size);

/* The thread that calls, green or OS. Never waits. */
osier_thread_t osier_self(void);

/* Whether the one that calls is a green thread: not 0 if so. Never waits. */
int osier_on_green_thread(void);


/* ---- Waiting ---- */

/*
 * The waits below, and the joins above, park a green thread and let others run; off a green thread they block the OS thread.
 * On a green thread each returns
 *
 *   ECANCELED  if it was killed
 *   ETIMEDOUT  if the time of an enclosing osier_timeout is over
 */

/*
 * Lets the other ready green threads run first. Off a green thread: sched_yield(). That one itself lets no green thread run when C
 * code calls it: an allocator may, in the middle of what it keeps for each OS thread. Who waits for another green thread so, in a
 * loop, ends the process with a report after half a minute of processor time.
 */
int osier_yield(void);

/* Waits for so many nanoseconds, and not less, by the runtime's clock. 0 lets the others run. */
int osier_sleep(uint64_t nanoseconds);

/*
 * Waits until osier_unpark is called for the calling thread, or has been since its last osier_park; now and then for no
 * reason: look again at what you wait for.
 */
int osier_park(void);

/* osier_park, for so many nanoseconds at most: also returns 0 when they are over. */
int osier_park_timeout(uint64_t nanoseconds);

/*
 * Lets a thread's osier_park, this one or the next, return. Never waits.
 *
 *   ESRCH    there is no such thread (any more). An OS thread is known once it has called osier_self
 */
int osier_unpark(osier_thread_t thread);

/*
 * Runs `f(arg)` on an OS thread of the runtime's pool, for work that blocks or takes long, while the green thread that calls waits
 * for it and others run; stores what it returns. Off a green thread `f` runs in place.
 *
 * While `f` runs a kill and a deadline of the caller's are deferred to its next wait: `arg` may be the caller's, and the wait lasts
 * as long as `f` does. Those that come before have `f` not called: then ECANCELED or ETIMEDOUT is returned.
 *
 *   EINVAL   `f` is NULL
 *   EAGAIN   the machine gives no OS thread: `f` was not called
 */
int osier_offload(osier_function_t *f, void *arg, void **result);

/*
 * Runs `f(arg)`, in place, and stores what it returns. The waits in it, those in shims too, end when so many nanoseconds are over,
 * with ETIMEDOUT. Code that runs is not interrupted. Of nested ones the earliest counts. Off a green thread it ends
 * the waits of this header, and no shims.
 *
 *   EINVAL     `f` is NULL
 *   ETIMEDOUT  the time was over before `f` returned; what it has returned is stored all the same
 */
int osier_timeout(uint64_t nanoseconds, osier_function_t *f, void *arg, void **result);

/*
 * Runs `f(arg)`, in place, and stores what it returns. Neither a kill nor an enclosing osier_timeout ends a wait in it, only the
 * first one after it: for cleaning up that must wait, after a kill as well.
 *
 *   EINVAL   `f` is NULL
 */
int osier_shield(osier_function_t *f, void *arg, void **result);

/*
 * The time, in nanoseconds since some fixed instant: by the clock of the runtime that runs on this OS thread, by default and
 * elsewhere CLOCK_MONOTONIC. Never waits.
 */
uint64_t osier_now(void);


/* ---- Shims ---- */

/* Functions of libc that are patched together. */
typedef enum osier_patch_group {
    OSIER_PATCH_SLEEP = 0,     /* nanosleep, usleep..; catches SIGURG unless you do */
    OSIER_PATCH_NET = 1,       /* recv, send, accept, connect.., on sockets read and write too */
    OSIER_PATCH_POLL = 2,      /* poll, select, epoll_wait.. */
    OSIER_PATCH_PIPE = 3,      /* read and write of pipes, eventfds, terminals */
    OSIER_PATCH_FUTEX = 4,     /* locks of pthreads, semaphores, pthread_join; catches SIGURG unless you do */
    OSIER_PATCH_PROCESS = 5,   /* waitpid.. */
    OSIER_PATCH_DNS = 6,       /* getaddrinfo.., on the offload pool */
    OSIER_PATCH_FILE_LOCK = 7, /* flock, lockf.. */
    OSIER_PATCH_FILE = 8,      /* regular files, on the offload pool; not in osier_patch_all */
    OSIER_PATCH_SIGNAL = 9,    /* sigwait.. */
    OSIER_PATCH_IPC = 10       /* message queues and semaphores: msgrcv, semop, mq_receive.. */
} osier_patch_group_t;

/*
 * Activates all groups but OSIER_PATCH_FILE, for the whole process and for good: calls made on green threads park them from now on.
 * Elsewhere they do what they always did. Never waits, and may be called again.
 *
 *   ENOTSUP  something else is linked in front of some shim: osier_patch_report says of which. The others are active
 */
int osier_patch_all(void);

/*
 * Activates one group, as osier_patch_all.
 *
 *   EINVAL   there is no such group
 *   ENOTSUP  as above, for the shims of this group
 */
int osier_patch_group(osier_patch_group_t group);

/* Whether a group was activated: not 0 if so. Never waits. */
int osier_patch_is_active(osier_patch_group_t group);

/*
 * Writes a table as text: for each shim whether it is linked and active, how often green threads have called it, and how often
 * that has parked them. As snprintf: writes `size` bytes at most, a zero byte among them, and returns how long the whole text
 * is without that. `buffer` may be NULL if `size` is 0. Never waits.
 */
size_t osier_patch_report(char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
