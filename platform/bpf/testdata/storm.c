//go:build ignore

// storm COUNT PROGRAM [SECONDS [NAME]]: runs PROGRAM COUNT times, one after
// another, or for SECONDS, each time with a number of its own as its argument,
// number-NAME-0 and so on, and prints how many there were. NAME is its pid if
// none is given.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 5)
		return 2;
	char name[64], number[128];
	snprintf(name, sizeof(name), "%d", getpid());
	char *args[] = {argv[2], number, NULL}, *env[] = {NULL};
	double end = argc > 3 ? now() + atof(argv[3]) : 0;
	int i = 0;
	for (int count = atoi(argv[1]); i < count && (!end || now() < end); i++) {
		snprintf(number, sizeof(number), "number-%s-%d", argc > 4 ? argv[4] : name, i);
		pid_t pid = vfork();
		if (pid == 0) {
			execve(argv[2], args, env);
			_exit(127);
		}
		int status;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
			return 1;
	}
	printf("%d\n", i);
	return 0;
}
