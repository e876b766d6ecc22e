//go:build ignore

// fat COUNT PROGRAM BYTES: runs PROGRAM COUNT times, one after another, with so
// many bytes of arguments and 16,000 of environment that is told.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	long bytes = atol(argv[3]);
	char *text = malloc(bytes + 1), variable[4000];
	memset(text, 'x', bytes);
	text[bytes] = 0;
	memset(variable, 'y', sizeof(variable));
	memcpy(variable, "LD_X=", 5);
	variable[sizeof(variable) - 1] = 0;
	char *args[] = {argv[2], text, NULL}, *env[] = {variable, variable, variable, variable, variable, NULL};
	for (int i = atoi(argv[1]); i > 0; i--) {
		pid_t pid = vfork();
		if (pid == 0) {
			execve(argv[2], args, env);
			_exit(127);
		}
		int status;
		if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
			return 1;
	}
	return 0;
}
