/* The floor of the machine: a loop that starts a command again and again and waits for it. Nothing else.

   floor <at a time> <tasks> <file for stdin> <command> [argument...]

   Prints the seconds that it took and how many commands ended with 0. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 5)
        return 2;
    long at_once = atol(argv[1]), tasks = atol(argv[2]), started = 0, ended = 0, completed = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, argv[3], O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    double begun = now();
    while (ended < tasks) {
        while (started < tasks && started - ended < at_once) {
            pid_t pid;
            if (posix_spawn(&pid, argv[4], &actions, NULL, argv + 4, environ) != 0)
                return 3;
            started++;
        }
        int status;
        if (waitpid(-1, &status, 0) < 0)
            return 4;
        ended++;
        completed += status == 0;
    }
    printf("%.9f %ld\n", now() - begun, completed);
    return 0;
}
