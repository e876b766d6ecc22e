package bpf

import "fmt"

// callNumbers are the numbers of one system call; 0: the architecture has none.
// (What has the number 0 somewhere, read, restart_syscall and io_setup, is not in the table.)
type callNumbers struct{ amd64, i386, arm64, arm uint16 }

// compatible returns them for the architecture that the programs run on, and
// for its processes of 32 bits.
func (n callNumbers) compatible(arch string) (native, compat uint16) {
	if arch == "arm64" {
		return n.arm64, n.arm
	}
	return n.amd64, n.i386
}

// callTable are the system calls that the programs look at, by name. Some have
// a second form for processes of 32 bits, such as setuid32: it is another call.
func callTable() map[string]callNumbers {
	return map[string]callNumbers{
		"setuid":            {105, 23, 146, 23},
		"setgid":            {106, 46, 144, 46},
		"setreuid":          {113, 70, 145, 70},
		"setregid":          {114, 71, 143, 71},
		"setresuid":         {117, 164, 147, 164},
		"setresgid":         {119, 170, 149, 170},
		"setfsuid":          {122, 138, 151, 138},
		"setfsgid":          {123, 139, 152, 139},
		"setgroups":         {116, 81, 159, 81},
		"setuid32":          {0, 213, 0, 213},
		"setgid32":          {0, 214, 0, 214},
		"setreuid32":        {0, 203, 0, 203},
		"setregid32":        {0, 204, 0, 204},
		"setresuid32":       {0, 208, 0, 208},
		"setresgid32":       {0, 210, 0, 210},
		"setfsuid32":        {0, 215, 0, 215},
		"setfsgid32":        {0, 216, 0, 216},
		"setgroups32":       {0, 206, 0, 206},
		"capset":            {126, 185, 91, 185},
		"prctl":             {157, 172, 167, 172},
		"chroot":            {161, 61, 51, 61},
		"pivot_root":        {155, 217, 41, 218},
		"setns":             {308, 346, 268, 375},
		"unshare":           {272, 310, 97, 337},
		"setsid":            {112, 66, 157, 66},
		"setpgid":           {109, 57, 154, 57},
		"init_module":       {175, 128, 105, 128},
		"finit_module":      {313, 350, 273, 379},
		"delete_module":     {176, 129, 106, 129},
		"bpf":               {321, 357, 280, 386},
		"ptrace":            {101, 26, 117, 26},
		"process_vm_readv":  {310, 347, 270, 376},
		"process_vm_writev": {311, 348, 271, 377},
		"memfd_create":      {319, 356, 279, 385},
		"memfd_secret":      {447, 447, 447, 0},
		"mmap":              {9, 90, 222, 0},
		"mmap2":             {0, 192, 0, 192},
		"mprotect":          {10, 125, 226, 125},
		"pkey_mprotect":     {329, 380, 288, 394},
		"shmat":             {30, 397, 196, 305},
		"ipc":               {0, 117, 0, 0},
		"mount":             {165, 21, 40, 21},
		"umount":            {0, 22, 0, 0},
		"umount2":           {166, 52, 39, 52},
		"move_mount":        {429, 429, 429, 429},
		"fsmount":           {432, 432, 432, 432},
		"mount_setattr":     {442, 442, 442, 442},
		"open_tree":         {428, 428, 428, 428},
		"open_tree_attr":    {467, 467, 467, 467},
		"fsopen":            {430, 430, 430, 430},
		"fspick":            {433, 433, 433, 433},
		"kexec_load":        {246, 283, 104, 347},
		"kexec_file_load":   {320, 0, 294, 401},
		"ioperm":            {173, 101, 0, 0},
		"iopl":              {172, 110, 0, 0},
		"add_key":           {248, 286, 217, 309},
		"request_key":       {249, 287, 218, 310},
		"keyctl":            {250, 288, 219, 311},
		"io_uring_setup":    {425, 425, 425, 425},
		"userfaultfd":       {323, 374, 282, 388},
		"perf_event_open":   {298, 336, 241, 364},
		"open_by_handle_at": {304, 342, 265, 371},
		"swapon":            {167, 87, 224, 87},
		"swapoff":           {168, 115, 225, 115},
		"reboot":            {169, 88, 142, 88},
		"sethostname":       {170, 74, 161, 74},
		"setdomainname":     {171, 121, 162, 121},
		"settimeofday":      {164, 79, 170, 79},
		"clock_settime":     {227, 264, 112, 262},
		"clock_settime64":   {0, 404, 0, 404},
		"clock_adjtime":     {305, 343, 266, 372},
		"clock_adjtime64":   {0, 405, 0, 405},
		"adjtimex":          {159, 124, 171, 124},
		"stime":             {0, 25, 0, 0},
		"kill":              {62, 37, 129, 37},
		"tkill":             {200, 238, 130, 238},
		"tgkill":            {234, 270, 131, 268},
		"rt_sigqueueinfo":   {129, 178, 138, 178},
		"rt_tgsigqueueinfo": {297, 335, 240, 363},
		"pidfd_send_signal": {424, 424, 424, 424},
		"pidfd_getfd":       {438, 438, 438, 438},
		"pidfd_open":        {434, 434, 434, 434},
		"process_madvise":   {440, 440, 440, 440},
		"syslog":            {103, 103, 116, 103},
		"acct":              {163, 51, 89, 51},
		"personality":       {135, 136, 92, 136},
		"seccomp":           {317, 354, 277, 383},
		"open":              {2, 5, 0, 5},
		"openat":            {257, 295, 56, 322},
		"openat2":           {437, 437, 437, 437},
		"creat":             {85, 8, 0, 8},
		"rename":            {82, 38, 0, 38},
		"renameat":          {264, 302, 38, 329},
		"renameat2":         {316, 353, 276, 382},
		"link":              {86, 9, 0, 9},
		"linkat":            {265, 303, 37, 330},
		"symlink":           {88, 83, 0, 83},
		"symlinkat":         {266, 304, 36, 331},
		"unlink":            {87, 10, 0, 10},
		"unlinkat":          {263, 301, 35, 328},
		"rmdir":             {84, 40, 0, 40},
		"mkdir":             {83, 39, 0, 39},
		"mkdirat":           {258, 296, 34, 323},
		"mknod":             {133, 14, 0, 14},
		"mknodat":           {259, 297, 33, 324},
		"truncate":          {76, 92, 45, 92},
		"truncate64":        {0, 193, 0, 193},
		"ftruncate":         {77, 93, 46, 93},
		"ftruncate64":       {0, 194, 0, 194},
		"chmod":             {90, 15, 0, 15},
		"fchmod":            {91, 94, 52, 94},
		"fchmodat":          {268, 306, 53, 333},
		"fchmodat2":         {452, 452, 452, 452},
		"chown":             {92, 182, 0, 182},
		"lchown":            {94, 16, 0, 16},
		"fchown":            {93, 95, 55, 95},
		"fchownat":          {260, 298, 54, 325},
		"chown32":           {0, 212, 0, 212},
		"lchown32":          {0, 198, 0, 198},
		"fchown32":          {0, 207, 0, 207},
		"setxattr":          {188, 226, 5, 226},
		"lsetxattr":         {189, 227, 6, 227},
		"fsetxattr":         {190, 228, 7, 228},
		"setxattrat":        {463, 463, 463, 463},
		"removexattr":       {197, 235, 14, 235},
		"lremovexattr":      {198, 236, 15, 236},
		"fremovexattr":      {199, 237, 16, 237},
		"removexattrat":     {466, 466, 466, 466},
		"utime":             {132, 30, 0, 0},
		"utimes":            {235, 271, 0, 269},
		"utimensat":         {280, 320, 88, 348},
		"utimensat_time64":  {0, 412, 0, 412},
		"futimesat":         {261, 299, 0, 326},
		"file_setattr":      {469, 469, 469, 469},
		"socket":            {41, 359, 198, 281},
		"connect":           {42, 362, 203, 283},
		"listen":            {50, 363, 201, 284},
		"accept":            {43, 0, 202, 285},
		"accept4":           {288, 364, 242, 366},
		"bind":              {49, 361, 200, 282},
		"sendto":            {44, 369, 206, 290},
		"sendmsg":           {46, 370, 211, 296},
		"sendmmsg":          {307, 345, 269, 374},
		"socketcall":        {0, 102, 0, 0},

		"prlimit64":          {302, 340, 261, 369},
		"setpriority":        {141, 97, 140, 97},
		"sched_setparam":     {142, 154, 118, 154},
		"sched_setscheduler": {144, 156, 119, 156},
		"sched_setattr":      {314, 351, 274, 380},
		"sched_setaffinity":  {203, 241, 122, 241},
	}
}

// maxCalls is MAX_SYSCALLS of syscall.h.
const maxCalls = 576

// numberCalls returns calls and compat_calls of syscall.h: of what each system
// call is to a program, by its name, what it is by its number.
func numberCalls(what map[string]uint8, arch string) (calls, compat [maxCalls]uint8, err error) {
	table := callTable()
	for name, w := range what {
		n, ok := table[name]
		if !ok {
			return calls, compat, fmt.Errorf("no system call %q", name)
		}
		native, old := n.compatible(arch)
		calls[native], compat[old] = w, w
	}
	calls[0], compat[0] = 0, 0
	return calls, compat, nil
}
