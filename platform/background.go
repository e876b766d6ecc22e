package platform

import (
	"os"
	"runtime"
)

// Background starts f in a goroutine on a thread of its own, of lower priority
// than the process's other threads: these come first when both want a core. A
// Go program whose background keeps n threads busy needs a GOMAXPROCS of n more
// than it has cores, or its other goroutines wait for their turn all the same.
// Where threads have no priority of their own f runs as any goroutine does.
func Background(f func()) {
	go func() {
		runtime.LockOSThread()
		if onFirstThread() {
			// That one does not end with its goroutine, and its priority is
			// shown as the process's. While this goroutine waits on it, another
			// one runs elsewhere.
			defer runtime.UnlockOSThread()
			done := make(chan struct{})
			Background(func() {
				defer close(done)
				f()
			})
			<-done
			return
		}
		// What was lowered can not be raised again without CAP_SYS_NICE: the
		// thread stays locked, and ends with this goroutine.
		if lowerPriority() != nil {
			runtime.UnlockOSThread()
		}
		f()
	}()
}

func onFirstThread() bool { return threadID() == os.Getpid() }
