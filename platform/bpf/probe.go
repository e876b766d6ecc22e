//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"daemoneye/platform"
)

// usable returns the types of the kernel, or why the programs could not run
// here, as far as that can be told before they are tried.
func usable() (*btf.Spec, error) {
	// The kernel counts pids and times for the first namespaces.
	if kind := platform.OwnNamespace("pid", "time"); kind != "" {
		return nil, fmt.Errorf("eBPF: this process is in a %s namespace of its own, %ss would be others", kind, kind)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("eBPF: the kernel does not describe its types (BTF, CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	if missing := missingCapabilities(); len(missing) > 0 {
		return nil, fmt.Errorf("eBPF: %s not held", strings.Join(missing, ", "))
	}
	if err := features.HaveMapType(ebpf.RingBuf); errors.Is(err, ebpf.ErrNotSupported) {
		return nil, errors.New("eBPF: the kernel has no ring buffer, it is older than 5.8")
	}
	return kernel, nil
}

// missingCapabilities returns those that loading takes, capabilities(7).
// CAP_SYS_ADMIN stands for both, and is the only one before 5.8.
func missingCapabilities() (list []string) {
	if admin, err := platform.Missing(unix.CAP_SYS_ADMIN); err != nil || len(admin) == 0 {
		return nil // after an error loading will tell
	}
	list, _ = platform.Missing(platform.LoadingCapabilities()...)
	return list
}

// explain adds what is likely behind an error of loading or attaching.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.EPERM) && lockedDown():
		return fmt.Errorf("eBPF: %w (kernel lockdown: confidentiality)", short(err))
	case errors.Is(err, unix.EPERM) && platform.OwnNamespace("user") != "":
		return fmt.Errorf("eBPF: %w (capabilities of a user namespace of its own do not count)", short(err))
	case errors.As(err, &verifier):
		return fmt.Errorf("eBPF: the kernel refuses the program: %w", short(err))
	}
	return fmt.Errorf("eBPF: %w", short(err))
}

// short drops advice that does not fit: with EPERM the library suspects the
// limit of locked memory.
func short(err error) error {
	if errors.Is(err, unix.EPERM) {
		return unix.EPERM
	}
	return err
}

// lockedDown reports whether the kernel hides its memory even from root,
// kernel_lockdown(7).
func lockedDown() bool {
	raw, err := os.ReadFile("/sys/kernel/security/lockdown")
	return err == nil && strings.Contains(string(raw), "[confidentiality]")
}

// hasLoop reports whether the kernel has bpf_loop.
func hasLoop() bool {
	return features.HaveProgramHelper(ebpf.RawTracepoint, asm.FnLoop) == nil
}

// hasFetch reports whether atomic operations can return a value, since 5.12.
func hasFetch() bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, License: "GPL",
		Instructions: asm.Instructions{
			asm.StoreImm(asm.RFP, -8, 0, asm.DWord),
			asm.Mov.Imm(asm.R0, 1),
			asm.FetchAdd.Mem(asm.RFP, asm.R0, asm.DWord, -8),
			asm.Return(),
		},
	})
	if err != nil {
		return false
	}
	_ = p.Close()
	return true
}

// exitSaysGroup reports whether the tracepoint sched_process_exit tells if it
// is the last thread: its type has a third parameter, after the context.
func exitSaysGroup(kernel *btf.Spec) (bool, error) {
	var def *btf.Typedef
	if err := kernel.TypeByName("btf_trace_sched_process_exit", &def); err != nil {
		return false, fmt.Errorf("eBPF: look up sched_process_exit: %w", err)
	}
	if to, ok := def.Type.(*btf.Pointer); ok {
		if proto, ok := to.Target.(*btf.FuncProto); ok {
			return len(proto.Params) >= 3, nil
		}
	}
	return false, fmt.Errorf("eBPF: sched_process_exit is of type %v", def.Type)
}
