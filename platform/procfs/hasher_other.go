//go:build !linux

package procfs

import "os"

func openExecutable(int32) (*os.File, error) { return nil, ErrNotSupported }

func openedID(*os.File) (FileID, error) { return FileID{}, ErrNotSupported }
