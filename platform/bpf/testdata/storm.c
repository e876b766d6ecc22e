//go:build ignore

// storm COUNT PROGRAM: runs PROGRAM COUNT times, one after another, each time
// with a number as its argument.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	char number[64];
	char *args[] = {argv[2], number, NULL}, *env[] = {NULL};
	for (int i = 0, count = atoi(argv[1]); i < count; i++) {
		snprintf(number, sizeof(number), "number-%d-%d", getpid(), i);
		pid_t pid = vfork();
		if (pid == 0) {
			execve(argv[2], args, env);
			_exit(127);
		}
		int status;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 7 << 8)
			return 1;
	}
	return 0;
}
