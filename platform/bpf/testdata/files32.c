//go:build ignore

// files32 makes, renames and removes files by system calls of 32 bits.
static int call(int number, const void *a, int b, int c)
{
	int result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

void _start(void)
{
	call(5, "a", 0101, 0640);     // open, O_CREAT|O_WRONLY
	call(38, "a", (int)"b", 0);   // rename
	call(39, "c", 0755, 0);       // mkdir
	call(40, "./c", 0, 0);        // rmdir
	call(1, 0, 0, 0);             // exit
}
