package procfs

import (
	"bytes"
	"fmt"
)

// ParseBootID reads /proc/sys/kernel/random/boot_id: a UUID, new at each boot.
func ParseBootID(b []byte) (string, error) {
	b = bytes.TrimSpace(b)
	if len(b) != 36 {
		return "", fmt.Errorf("boot id %.40q is no UUID", b)
	}
	for i, c := range b {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'; hyphen != (c == '-') || !hyphen && !hex {
			return "", fmt.Errorf("boot id %.40q is no UUID", b)
		}
	}
	return string(b), nil
}
