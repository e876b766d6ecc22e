package collector

import (
	"slices"
	"strings"
	"testing"
)

func newTestRedactor(t testing.TB, c Redaction) *redactor {
	t.Helper()
	r, err := newRedactor(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRedact(t *testing.T) {
	r := newTestRedactor(t, Redaction{})
	// Arguments are separated by "|".
	for _, c := range []struct{ in, want string }{
		{"app|--password|hunter2|x", "app|--password|[REDACTED]|x"},
		{"app|--password=hunter2", "app|--password=[REDACTED]"},
		{"app|--db-password=hunter2", "app|--db-password=[REDACTED]"},
		{"app|--token|abc", "app|--token|[REDACTED]"},
		{"app|--secret=abc", "app|--secret=[REDACTED]"},
		{"app|--api-key|abc", "app|--api-key|[REDACTED]"},
		{"app|--api_key=abc", "app|--api_key=[REDACTED]"},
		{"java|-password|abc", "java|-password|[REDACTED]"},
		{"vault|login|-token=abc", "vault|login|-token=[REDACTED]"},
		{"mysql|-uroot|-phunter2|db", "mysql|-uroot|-p[REDACTED]|db"},
		{"/usr/bin/mysqldump|-phunter2", "/usr/bin/mysqldump|-p[REDACTED]"},
		{"mysql|-pmysecret|db", "mysql|-p[REDACTED]|db"},
		{"mariadb|-phunter2", "mariadb|-p[REDACTED]"},
		{"sshpass|-p|hunter2|ssh|-p|22|host", "sshpass|-p|[REDACTED]|ssh|-p|22|host"},
		{"sshpass|-phunter2|ssh|host", "sshpass|-p[REDACTED]|ssh|host"},
		{"redis-cli|-a|hunter2|ping", "redis-cli|-a|[REDACTED]|ping"},
		{"ldapsearch|-x|-w|hunter2", "ldapsearch|-x|-w|[REDACTED]"},
		{"curl|-u|me:hunter2|https://x", "curl|-u|me:[REDACTED]|https://x"},
		{"curl|-ume:hunter2|https://x", "curl|-ume:[REDACTED]|https://x"},
		{"curl|--user|me:hunter2", "curl|--user|me:[REDACTED]"},
		{"curl|--user=me:hunter2", "curl|--user=me:[REDACTED]"},
		{"wget|--http-password=hunter2|x", "wget|--http-password=[REDACTED]|x"},
		{"git|clone|https://me:hunter2@host/x.git", "git|clone|https://me:[REDACTED]@host/x.git"},
		{"app|postgres://me:p@ss@host/db", "app|postgres://me:[REDACTED]@host/db"},
		{"app|redis://:hunter2@host", "app|redis://:[REDACTED]@host"},
		{"env|AWS_SECRET_ACCESS_KEY=abc/def+g=|aws", "env|AWS_SECRET_ACCESS_KEY=[REDACTED]|aws"},
		{"env|PGPASSWORD=abc|psql", "env|PGPASSWORD=[REDACTED]|psql"},
		{"env|MYSQL_PWD=abc", "env|MYSQL_PWD=[REDACTED]"},
		{"docker|run|-e|DB_PASSWORD=abc|img", "docker|run|-e|DB_PASSWORD=[REDACTED]|img"},
		{"docker|run|--env=DB_PASSWORD=abc|img", "docker|run|--env=DB_PASSWORD=[REDACTED]|img"},
		{"helm|--set|db.password=abc,x=1", "helm|--set|db.password=[REDACTED],x=1"},
		{"curl|-H|Authorization: Bearer abc.def", "curl|-H|Authorization: Bearer [REDACTED]"},
		{"curl|-H|authorization: Basic abc=", "curl|-H|authorization: Basic [REDACTED]"},
		{"curl|-H|X-Api-Key: abc", "curl|-H|X-Api-Key: [REDACTED]"},
		{"curl|https://x/?a=1&token=abc&b=2", "curl|https://x/?a=1&token=[REDACTED]&b=2"},
		{`curl|-d|{"user":"me","password":"hunter2"}`, `curl|-d|{"user":"me","password":"[REDACTED]"}`},
		{"app|Server=x;User Id=me;Password=hunter2;", "app|Server=x;User Id=me;Password=[REDACTED];"},
		{"sh|-c|mysql -uroot -phunter2 db", "sh|-c|mysql -uroot -p[REDACTED] db"},
		{"sh|-c|x --password 'two words' y", "sh|-c|x --password '[REDACTED]' y"},
		{"sh|-c|PGPASSWORD=abc psql -h x", "sh|-c|PGPASSWORD=[REDACTED] psql -h x"},
		{"sh|-c|curl -u me:hunter2 https://x", "sh|-c|curl -u me:[REDACTED] https://x"},
		{"sh|-c|curl -H 'Authorization: Bearer abc' https://x", "sh|-c|curl -H 'Authorization: Bearer [REDACTED]' https://x"},
		{"openssl|enc|-pass|pass:hunter2", "openssl|enc|-pass|[REDACTED]"},
		{"x|ghp_abcdefghijklmnopqrstuvwxyz0123456789", "x|[REDACTED]"},
		{"app|--password|--user|x", "app|--password|--user|x"}, // asks for it

		{"docker|login|-u|me|-p|hunter2", "docker|login|-u|me|-p|[REDACTED]"},
		{"docker|run|-p|80:80|img", "docker|run|-p|80:80|img"},
		{"ssh|-p|22|host", "ssh|-p|22|host"},
		{"mkdir|-p|dir", "mkdir|-p|dir"},
		{"mysql|-p|db", "mysql|-p|db"}, // asks for it; db is the database
		{"app|--password-file|/run/x", "app|--password-file|/run/x"},
		{"app|--token-file=/run/x", "app|--token-file=/run/x"},
		{"app|--no-password|x", "app|--no-password|x"},
		{"env|DB_PASSWORD_FILE=/run/x", "env|DB_PASSWORD_FILE=/run/x"},
		{"env|AWS_ACCESS_KEY_ID=abc", "env|AWS_ACCESS_KEY_ID=abc"},
		{"openssl|enc|-pass|file:/run/x", "openssl|enc|-pass|file:/run/x"},
		{"curl|-u|me|https://x:8080/a@b", "curl|-u|me|https://x:8080/a@b"},
		{"sudo|-u|www-data|id", "sudo|-u|www-data|id"},
		{"chown|-u|a:b", "chown|-u|a:b"},
		{"git|log|--author=x:y", "git|log|--author=x:y"},
		{"rsync|-avP|a:/x|b", "rsync|-avP|a:/x|b"},
		{"tokenize|--tokenizer=x|file", "tokenize|--tokenizer=x|file"},
		{"nmap|-p|1-1000|host", "nmap|-p|1-1000|host"},
		{"sh|-c|mkdir -p a b && ls", "sh|-c|mkdir -p a b && ls"},
		{"echo||", "echo||"},
	} {
		got := strings.Join(r.args(strings.Split(c.in, "|")), "|")
		if got != c.want {
			t.Errorf("args(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestRedactConfigured(t *testing.T) {
	in := []string{"app", "--license", "abc", "-k", "def", "pin:1234/5", "xzzz", "--password=x"}
	r := newTestRedactor(t, Redaction{Options: []string{"--license", "-k"}, Patterns: []string{`pin:(\d+)(?:/(\d+))?`, `zz+`}})
	want := []string{"app", "--license", redacted, "-k", redacted, "pin:" + redacted + "/" + redacted, "x" + redacted, "--password=" + redacted}
	if got := r.args(in); !slices.Equal(got, want) {
		t.Errorf("args(%q) = %q, want %q", in, got, want)
	}
	if got := newTestRedactor(t, Redaction{Off: true}).args(in); !slices.Equal(got, in) {
		t.Errorf("switched off: args(%q) = %q, want it unchanged", in, got)
	}
	if _, err := newRedactor(Redaction{Patterns: []string{"("}}); err == nil {
		t.Error("a pattern that does not compile was accepted")
	}
}

func TestRedactVariable(t *testing.T) {
	r := newTestRedactor(t, Redaction{Options: []string{"LICENSE"}})
	for _, c := range []struct{ name, value, want string }{
		{"PGPASSWORD", "x", redacted},
		{"AWS_SECRET_ACCESS_KEY", "x", redacted},
		{"GITHUB_TOKEN", "x", redacted},
		{"LICENSE", "x", redacted},
		{"DATABASE_URL", "postgres://a:b@h/d", "postgres://a:" + redacted + "@h/d"},
		{"PWD", "/home/x", "/home/x"},
		{"OLDPWD", "/home/x", "/home/x"},
		{"SSH_AUTH_SOCK", "/run/x", "/run/x"},
		{"PATH", "/bin:/usr/bin", "/bin:/usr/bin"},
		{"DB_PASSWORD", "", ""},
		{"DB_PASSWORD", "a b;c&d", redacted},
		{"BASH_FUNC_f%%", "() { mysql -phunter2 x; }", "() { mysql -p" + redacted + " x; }"},
		{"JAVA_OPTS", "-Xmx1g -Dspring.datasource.password=hunter2 -Dx=y", "-Xmx1g -Dspring.datasource.password=" + redacted + " -Dx=y"},
		{"KEY", "AKIAIOSFODNN7EXAMPLE", redacted},
		{"GOOGLE_APPLICATION_CREDENTIALS", "/etc/key.json", "/etc/key.json"},
		{"MAX_TOKENS", "100", "100"},
		{"TOKENIZERS_PARALLELISM", "false", "false"},
		{"LS_COLORS", "rs=0:di=01;34:ln=01;36:*.tar=01;31", "rs=0:di=01;34:ln=01;36:*.tar=01;31"},
		{"PS1", `\u@\h:\w\$ `, `\u@\h:\w\$ `},
	} {
		if got := r.variable(c.name, c.value); got != c.want {
			t.Errorf("variable(%q, %q) = %q, want %q", c.name, c.value, got, c.want)
		}
	}
}
