/*
 * An echo server as everybody's first one: accept(), and a thread for each client. Here they are green threads, and the
 * clients are some more, all on one OS thread.
 *
 *     cc echo.c -losier_c -o echo && ./echo
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <osier.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 50
#define ROUNDS 20

/* Sends all of it; 0 if that has worked. */
static int send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0)
            return -1;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* Receives so much; 0 if it has come. */
static int receive_all(int fd, char *data, size_t length)
{
    while (length > 0) {
        ssize_t received = recv(fd, data, length, 0);
        if (received <= 0)
            return -1;
        data += received;
        length -= (size_t)received;
    }
    return 0;
}

/* Answers one client. A kill ends its recv() with ECANCELED, and so the loop. */
static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[512];
    ssize_t received;

    while ((received = recv(fd, buffer, sizeof buffer, 0)) > 0) {
        if (send_all(fd, buffer, (size_t)received) != 0)
            break;
    }
    close(fd);
    return NULL;
}

/* Accepts until it is killed. */
static void *listen_on(void *arg)
{
    int listener = *(int *)arg;

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            if (errno == ECANCELED)
                return NULL;
            perror("accept");
            continue;
        }
        /* Nobody joins it. */
        int error = osier_spawn(NULL, NULL, serve, (void *)(intptr_t)fd);
        if (error != 0) {
            fprintf(stderr, "osier_spawn: %s\n", strerror(error));
            close(fd);
        }
    }
}

/* Sends lines and compares what comes back; the address if all was well. */
static void *talk(void *arg)
{
    const struct sockaddr_in *address = arg;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    void *result = NULL;

    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
        int round;
        for (round = 0; round < ROUNDS; round++) {
            char line[64], answer[64];
            int length = snprintf(line, sizeof line, "client %d, line %d\n", fd, round);
            if (send_all(fd, line, (size_t)length) != 0 || receive_all(fd, answer, (size_t)length) != 0
                || memcmp(line, answer, (size_t)length) != 0)
                break;
        }
        if (round == ROUNDS)
            result = arg;
    }
    if (fd >= 0)
        close(fd);
    return result;
}

static void *body(void *arg)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    osier_thread_t server, clients[CLIENTS];
    size_t echoed = 0;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0
        || listen(listener, CLIENTS) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("listener");
        return NULL;
    }
    osier_spawn(&server, NULL, listen_on, &listener);
    for (size_t i = 0; i < CLIENTS; i++)
        osier_spawn(&clients[i], NULL, talk, &address);
    for (size_t i = 0; i < CLIENTS; i++) {
        void *result = NULL;
        if (osier_join(clients[i], &result) == 0 && result == &address)
            echoed++;
    }
    osier_kill(server);
    osier_join(server, NULL);
    close(listener);
    printf("%zu clients, %zu lines echoed\n", echoed, echoed * ROUNDS);
    return echoed == CLIENTS ? arg : NULL;
}

int main(void)
{
    int done = 0;
    void *result = NULL;
    int error = osier_patch_all();
    if (error == 0)
        error = osier_run(body, &done, &result);
    if (error != 0)
        fprintf(stderr, "echo: %s\n", strerror(error));
    return result != &done;
}
