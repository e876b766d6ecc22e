package config

import "slices"

// Watched returns the paths whose changes are told, and the files whose reads
// are: those that the built-in rules are about, always, and those of the
// configuration.
func (f Files) Watched() (paths, reads []string) {
	return slices.Concat(watchedPaths(), f.Paths), slices.Concat(watchedReads(), f.Reads)
}

// watchedPaths are where programs, libraries and what starts them lie, and how
// one logs in: what is put there runs again, or as somebody else.
func watchedPaths() []string {
	return []string{
		"/etc", "/boot",
		"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin",
		"/usr/lib/systemd", "/lib/systemd", "/usr/local/lib/systemd", "/run/systemd/system", "/usr/lib/modules", "/lib/modules",
		"/usr/lib/security", "/usr/lib64/security", "/usr/lib/*/security", "/lib/security", "/lib64/security", "/lib/*/security",
		"/var/spool/cron", "/var/spool/at", "/dev/shm",
		"/root/.ssh", "/home/*/.ssh", "/var/lib/*/.ssh", "/root/.config/systemd", "/home/*/.config/systemd",
		"/root/.config/autostart", "/home/*/.config/autostart",
		"/root/.bashrc", "/root/.bash_profile", "/root/.profile", "/root/.zshrc",
		"/home/*/.bashrc", "/home/*/.bash_profile", "/home/*/.profile", "/home/*/.zshrc",
	}
}

// watchedReads are files that hold credentials.
func watchedReads() []string {
	list := []string{
		"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/krb5.keytab", "/root/.ssh",
	}
	for _, kind := range []string{"rsa", "ecdsa", "ed25519", "dsa"} {
		list = append(list, "/etc/ssh/ssh_host_"+kind+"_key", "/home/*/.ssh/id_"+kind)
	}
	for _, name := range []string{
		".ssh/id_ecdsa_sk", ".ssh/id_ed25519_sk",
	} {
		list = append(list, "/home/*/"+name)
	}
	for _, name := range []string{
		".aws/credentials", ".config/gcloud/credentials.db", ".config/gcloud/access_tokens.db", ".config/gcloud/application_default_credentials.json",
		".azure/accessTokens.json", ".azure/msal_token_cache.json", ".kube/config", ".docker/config.json", ".git-credentials", ".netrc", ".pgpass",
	} {
		list = append(list, "/root/"+name, "/home/*/"+name)
	}
	return list
}
