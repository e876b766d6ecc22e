//go:build ignore

// tiny ends at once, with status 7.
#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov $7, %edi\nmov $231, %eax\nsyscall\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start: mov x0, #7\nmov x8, #94\nsvc #0\n");
#endif
