package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// numbersOf reads the numbers of system calls, by lower-case name, that match
// with a name and a number in a file.
func numbersOf(t *testing.T, file string, line *regexp.Regexp) map[string]uint16 {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Skip(err)
	}
	numbers := map[string]uint16{}
	for _, m := range line.FindAllStringSubmatch(string(raw), -1) {
		n, err := strconv.ParseUint(m[2], 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		numbers[strings.ToLower(m[1])] = uint16(n)
	}
	if len(numbers) < 300 {
		t.Fatalf("%d numbers in %s", len(numbers), file)
	}
	return numbers
}

// TestCallTable: the numbers are those of golang.org/x/sys, for each
// architecture, and where the kernel's headers are, theirs.
func TestCallTable(t *testing.T) {
	columns := map[string]func(callNumbers) uint16{
		"amd64": func(n callNumbers) uint16 { return n.amd64 },
		"386":   func(n callNumbers) uint16 { return n.i386 },
		"arm64": func(n callNumbers) uint16 { return n.arm64 },
		"arm":   func(n callNumbers) uint16 { return n.arm },
	}
	check := func(t *testing.T, arch string, numbers map[string]uint16, all bool) {
		for name, n := range callTable() {
			if got, want := columns[arch](n), numbers[name]; got != want && (all || want != 0) {
				t.Errorf("%s on %s: %d, want %d", name, arch, got, want)
			}
		}
	}
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	for arch := range columns {
		t.Run(arch, func(t *testing.T) {
			file := filepath.Join(strings.TrimSpace(string(dir)), "unix", fmt.Sprintf("zsysnum_linux_%s.go", arch))
			check(t, arch, numbersOf(t, file, regexp.MustCompile(`(?m)^\s+SYS_(\w+)\s+= (\d+)$`)), true)
		})
	}
	for arch, suffix := range map[string]string{"amd64": "64", "386": "32"} {
		t.Run("headers of "+arch, func(t *testing.T) {
			file := fmt.Sprintf("/usr/include/x86_64-linux-gnu/asm/unistd_%s.h", suffix)
			check(t, arch, numbersOf(t, file, regexp.MustCompile(`(?m)^#define __NR_(\w+) (\d+)$`)), false)
		})
	}
}

func TestNumberCalls(t *testing.T) {
	calls, compat, err := numberCalls(map[string]uint8{"setuid": 1, "setuid32": 1, "iopl": 2}, "arm64")
	if err != nil || calls[146] != 1 || compat[23] != 1 || compat[213] != 1 {
		t.Errorf("setuid on arm64: %d, %d, %d, error %v", calls[146], compat[23], compat[213], err)
	}
	if calls[0] != 0 || compat[0] != 0 {
		t.Error("a call that an architecture does not have is that of number 0")
	}
	if calls, _, _ := numberCalls(map[string]uint8{"iopl": 2}, "amd64"); calls[172] != 2 {
		t.Errorf("iopl on amd64: %d, want 2", calls[172])
	}
	if _, _, err := numberCalls(map[string]uint8{"nothing": 1}, "amd64"); err == nil {
		t.Error("a call that there is not is accepted")
	}
}
