package collector

import "strings"

// program says what the short options and words of a program mean. Letters
// that it does not list are switches without a value.
type program struct {
	kind     programKind
	attached string // -pSECRET
	secret   string // -pSECRET, -p=SECRET or -p SECRET
	login    string // -u user:SECRET, attached or separate
	address  string // -x user:SECRET@host
	cookie   string // -b NAME=SECRET; without "=" it is the name of a file
	percent  string // -U user%SECRET
	script   string // the value is a shell script
	module   string // the value is the program to run
	takes    string // the value is something else
	long     string // further long options whose value is a secret, each between blanks
	kept     string // long options whose value is none here
	names    bool   // long options begin with one "-": -passin
	bare     bool   // --password has a value only behind "="
	prompts  bool   // --password, too, may have none
	word     bool   // a word of the shell's, which means nothing among the words of another program
	skip     int    // words before the command that it runs
	command  string // only with this subcommand the letters above hold
	after    string // the word after this one is a secret
	colon    string // what comes before the secret in a word: /p:SECRET
	last     string // with one of these letters the last word is the secret
	slash    bool   // user/SECRET@database
	values   string // long options that take a word, each between blanks
}

type programKind int

const (
	client   programKind = iota // takes secrets; runs nothing
	wrapper                     // runs the program that its words name
	shell                       // runs a script after -c
	launcher                    // runs a program named somewhere in its words
	plain                       // runs nothing that matters here; its words are text
)

// programs returns the table. That a program is missing costs its short
// options only: names and forms of secrets are the same everywhere.
func programs() map[string]*program {
	m := map[string]*program{}
	add := func(p program, names string) {
		for n := range strings.FieldsSeq(names) {
			m[n] = &p
		}
	}
	add(program{attached: "p", takes: "uhPDSe", prompts: true, after: "password"}, `mysql mysqldump mysqladmin mysqlimport mysqlshow mysqlcheck
		mysqlslap mysqlbinlog mysqlpump mysqldumpslow mysql_upgrade mysql_secure_installation mysqlrepair mysqloptimize mysqlanalyze mariadb
		mariadb-dump mariadb-admin mariadb-import mariadb-show mariadb-check mariadb-slap mariadb-binlog mariadb-upgrade mydumper myloader
		xtrabackup mariabackup innobackupex`)
	add(program{attached: "p", takes: "uhPDSe", prompts: true}, "mysqlsh mycli pt-query-digest")
	add(program{secret: "p", takes: "uke", prompts: true}, "cqlsh")
	add(program{secret: "p", takes: "udchqoCf", prompts: true}, `mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop
		mongofiles`)
	add(program{attached: "p", takes: "motixswvr"}, "7z 7za 7zr 7zz")
	add(program{attached: "p", takes: "mosvtxnw"}, "rar unrar")
	add(program{secret: "P", takes: "bdinstx"}, "zip unzip zipcloak")
	add(program{secret: "P", takes: "SUdHiIoQqvt"}, "sqlcmd isql tsql bcp osql")
	add(program{secret: "P", takes: "HUIpLCALtodkyYSK"}, "ipmitool")
	add(program{secret: "p", takes: "udgskntraxT"}, "rdesktop")
	add(program{secret: "a", takes: "hpsunrdiDutckqPl"}, "redis-cli valkey-cli keydb-cli redis-benchmark valkey-benchmark")
	add(program{secret: "w", takes: "DbHhpfFSyYUXROolzTEeacsdP"}, `ldapsearch ldapadd ldapmodify ldapdelete ldappasswd ldapwhoami ldapcompare
		ldapmodrdn ldapexop`)
	add(program{secret: "AX", takes: "vclunaxetr"}, "snmpget snmpwalk snmpset snmpgetnext snmpbulkwalk snmpbulkget snmptrap snmptable")
	add(program{percent: "U", takes: "IpcdDlmnNsStTWkbLMOiR"}, "smbclient rpcclient smbget smbcacls smbpasswd smbtree net winexe wmic")
	add(program{login: "uU", cookie: "b", address: "x", takes: "AcCdDeEFHKmoPQrtTwXyYz"}, "curl")
	add(program{takes: "aoiBtOTwQPUlARDIX", login: " "}, "wget wget2 aria2c")
	add(program{login: "a", takes: "Aopsv"}, "http https httpie xh")
	add(program{login: "AP", takes: "bcCegHikmnpsTtuvXxyz"}, "ab")
	add(program{secret: "pP", takes: "ugsdGkKecbf"}, "useradd usermod groupadd groupmod")
	add(program{long: " pin so-pin puk new-pin ", secret: "p", takes: "mdiolsyak"}, "pkcs11-tool pkcs15-tool pkcs15-init")
	add(program{names: true, long: " k pass passin passout K "}, "openssl")
	add(program{names: true, long: " pw pwd "}, "plink pscp psftp putty puttygen plink.exe x11vnc keytool jarsigner")
	add(program{after: "password"}, "nmcli")
	add(program{after: "login"}, "vault")
	add(program{colon: "/p:"}, "xfreerdp xfreerdp3 wlfreerdp sdl-freerdp")
	add(program{last: "b"}, "htpasswd")
	add(program{slash: true}, "sqlplus expdp impdp exp imp sqlldr rman sqlcl")
	add(program{bare: true, kind: plain}, `psql pg_dump pg_dumpall pg_restore pg_basebackup pg_receivewal pg_isready createdb dropdb createuser dropuser
		vacuumdb reindexdb clusterdb pgbench pg_recvlogical`)
	add(program{prompts: true}, "influx cockroach clickhouse-client clickhouse svn kinit")

	add(program{kind: launcher, command: "login", secret: "p", takes: "u", kept: " secret from-file from-env-file set-file "}, `docker podman nerdctl buildah skopeo helm az oc cf
		kubectl docker-compose podman-compose`)
	add(program{kind: wrapper, secret: "p", takes: "fdP"}, "sshpass")
	add(program{kind: wrapper, takes: "CDghprRTtuU", values: " user group host prompt chdir "}, "sudo doas")
	add(program{kind: wrapper, takes: "uC", script: "S", values: " unset chdir "}, "env")
	add(program{kind: wrapper, takes: "ncpuPioefs", values: " adjustment class classdata output error input "}, `nice ionice nohup setsid stdbuf xvfb-run
		dbus-run-session unbuffer fakeroot setarch tini dumb-init caffeinate catchsegv`)
	add(program{kind: wrapper, takes: "eoPpsSuaIbEXtG", values: " output trace target "}, "strace ltrace nsenter")
	add(program{kind: wrapper, takes: "afo", word: true}, "exec command builtin eval time if then else elif while until do coproc ! {")
	add(program{kind: wrapper, takes: "ks", skip: 1, values: " signal kill-after "}, "timeout")
	add(program{kind: wrapper, takes: "GuUg", skip: 1}, "chroot gosu su-exec s6-setuidgid setuidgid")
	add(program{kind: wrapper, takes: "wE", script: "c", skip: 1, values: " timeout conflict-exit-code "}, "flock")
	add(program{kind: wrapper, takes: "n", script: ""}, "watch busybox")
	add(program{kind: wrapper, takes: "aEIiLlnPsd", values: " max-args max-procs replace delimiter arg-file "}, "xargs parallel")
	add(program{kind: wrapper, takes: "bcDeEFIiJLlmoOpQRSWwB", skip: 1}, "ssh mosh autossh dbclient")
	add(program{kind: launcher, takes: "Ggsuw", script: "c"}, "su runuser script")
	add(program{kind: launcher}, "systemd-run taskset chrt prlimit unshare setpriv ip lxc lxc-attach flatpak snap firejail bwrap tmux screen start-stop-daemon capsh")
	add(program{kind: wrapper, takes: "cWXQerIM", module: "m"}, "python python2 python3 pypy pypy3 perl ruby node nodejs php lua tclsh expect")
	add(program{kind: shell, takes: "oO", values: " rcfile init-file "}, "sh bash dash zsh ksh mksh ash fish rbash")

	add(program{kind: plain}, `git grep egrep fgrep rg ag ack ls cat less more tail head cp mv rm ln tar gzip rsync scp sftp chown chmod chgrp mkdir rmdir touch
		stat du df apt apt-get apt-cache dpkg yum dnf rpm zypper pacman apk brew man which whereis type service systemctl journalctl echo printf
		sed awk gawk mawk vi vim nvim nano emacs gcc g++ cc c++ clang clang++ cc1 cc1plus ld as make ninja cmake go rustc cargo javac nmap ping dig nslookup
		mount umount ps pgrep pkill kill killall id getent diff patch sort uniq wc ssh-keygen ssh-agent ssh-add ssh-copy-id test [ cd pushd export`)
	add(program{kind: wrapper, module: " "}, "find fd")
	return m
}

// lookup returns the program of a name or path, nil when it is not known.
func (r *redactor) lookup(name string) *program {
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	if name == "" || len(name) > 40 {
		return nil
	}
	name = strings.TrimPrefix(name, "-") // a login shell
	if p := r.programs[name]; p != nil {
		return p
	}
	switch c := name[max(0, len(name)-1):]; {
	case c == "":
		return nil
	case c >= "0" && c <= "9":
		return r.programs[strings.TrimRight(name, "0123456789.-")]
	}
	if small := strings.TrimSuffix(strings.ToLower(name), ".exe"); small != name {
		return r.programs[small]
	}
	return nil
}
