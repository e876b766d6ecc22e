//go:build linux

package collector

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"daemoneye/platform/procfs"
	"daemoneye/roles/term"
)

// play is what the test binary does as a process under test. Each line on
// standard input lets it go on.
func play(role string) int {
	in := bufio.NewReader(os.Stdin)
	step := func() {
		fmt.Println("ready")
		_, _ = in.ReadString('\n')
	}
	switch role {
	case "title": // writes over its own arguments, as setproctitle does
		step()
		title := []byte("worker: idle")
		arg := unsafe.Slice(unsafe.StringData(os.Args[0]), len(os.Args[0])+1+len(os.Args[1]))
		clear(arg)
		copy(arg, title)
		step()
	case "setuid":
		step()
		id, _ := strconv.Atoi(os.Args[1])
		if err := syscall.Setuid(id); err != nil {
			fmt.Println(err)
			return 1
		}
		step()
	case "dial": // twice
		for range 2 {
			c, err := net.Dial("tcp", os.Args[1])
			if err == nil {
				defer c.Close()
			}
			step()
		}
	case "rename":
		step()
		if err := os.WriteFile("/proc/self/comm", []byte(os.Args[1]), 0); err != nil {
			fmt.Println(err)
			return 1
		}
		step()
	case "flood": // of events of one sort
		step()
		pid, _ := strconv.Atoi(os.Args[1])
		for range 20_000 {
			if _, err := unix.ProcessVMReadv(pid, nil, nil, 0); err != nil {
				fmt.Println(err)
				return 1
			}
		}
	case "once":
		err := Once(context.Background(), Config{Scan: procfs.Config{}}, OnceConfig{
			Format: os.Args[1], Verbose: true, Out: &term.Output{Writer: os.Stdout}, Err: &term.Output{Writer: os.Stderr},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	_, _ = in.ReadString('\n')
	return 0
}
