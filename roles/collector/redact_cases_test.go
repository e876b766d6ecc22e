package collector

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// In these lines every secret ends with X, and nothing else has one; what has
// to stay beside them has a Y.
const secretLines = `
env|AWS_SECRET_ACCESS_KEY=ab;cdX|awsY
env|PGPASSWORD=a&bX|psql
env|DB_PASSWORD=two wordsX
env|DB_PASSWORD="quoted" and moreX
env|PGPASSWORD='a'bX
docker|run|-e|DB_PASSWORD=a,bX|imgY
docker|run|-eDB_PASSWORD=a,b;cX|imgY
docker|run|--env=DB_PASSWORD=a,b;c dX|imgY
docker|run|--env|DB_PASSWORD=a b|cX
java|-Dspring.datasource.password=a,b;cX|-jar|y.jar
java|-Djavax.net.ssl.trustStorePassword=changeitX|MainY
app|--password|-X
app|--password|env:X
app|--password|--Xx-X
app|--token|-abcX
app|--pwd|abcX
app|--pw|abcX
app|--db-pwd=abcX
app|--passcode|abcX
app|--passphrase|abcX
app|--auth|abcX
app|--auth|userY:abcX
app|--auth=abcX
curl|--oauth2-bearer|abcX|https://y
app|--secret|abcX
app|--secret-key=abcX
app|--client-secret|abcX
app|--clientSecret=abcX
app|--api-key|abcX
app|--access-key|abcX
app|--private-key|abcX
app|--private-key|MIIEvQIBADANBgkq/hkiG9w0B=X
app|--token=abcX
app|--access-token|abcX
app|--gh_token=abcX
app|--passwd=/abcX
app|-passwd|abcX
plink|-pw|abcX|hostY
openssl|enc|-aes256|-k|abcX|-in|y
openssl|enc|-pass|pass:abcX
keytool|-storepass|abcX|-keypass|abcX
mysql|-pX
mysqldump|-uroot|-pabcX|dbY
mysqladmin|-pabcX|status
mysqladmin|-uroot|password|abcX
mysqlsh|-pabcX
mycli|-pabcX
mysql_upgrade|-pabcX
mysqlimport|-pabcX
mariadb|-pabcX
mariadb-dump|-pabcX
mysql|-protocolX
mysql|-vpabcX
mysql|-vvvpabcX|dbY
mysqldump|-h|env|-pabcX|dbY
mysql|-u|bash|-pabcX|dbY
mysql|-ubash|-pabcX|sudo|-pabcX
mysql|--host|env|-pabcX
mysql|--password=abcX
mysql8.0|-pabcX
C:\Program Files\MySQL\mysql.exe|-pabcX
mysql|-NBe|select 1|-pabcX
docker|login|-p|-abcX
sh|-c|A=$(mysql -pabcX) B="$(mysql -pabcX "Y $(mysql -p'abcX')")"
sh|-c|diff <(mysql -pabcX y) <(mysql -pabcX Y)
sh|-c|curl -d user=aY\&pwd=abcX Y
sh|-c|ssh h "mysql -p'abcX' -e \"select 'Y'\""
sh|-c|my"sql" -p"abcX" Y
bash|-c|--|mysql -pabcX
app|Endpoint=sb://y/;SharedAccessKeyName=Root;SharedAccessKey=abcX;EntityPath=Y
app|https://h/y#access_token=abcX
cqlsh|-u|yY|-p|abcX
cqlsh|-pabcX
mongo|-p|abcX
mongosh|-pabcX|dbY
sshpass|-pabcX|ssh|-p22|hostY
sshpass|-p|abcX|ssh|-p|22|hostY
sshpass|-p|abcX|ssh|hostY|mysql -pabcX
docker|login|-pabcX|hostY
docker|login|-p=abcX|hostY
docker|login|-u|y|-p|abcX|hostY
docker|login|--password|abcX
docker|exec|-it|db|mysql|-uroot|-pabcX
docker|exec|mysql|mysqldump|-pabcX
docker|run|--rm|mysql:8|mysql|-h|db|-pabcX
kubectl|exec|-it|pod-0|--|mysql|-pabcX
kubectl|exec|pod|--|sh|-c|mysql -pabcX
7z|x|-pabcX|y.7z
rar|a|-hpabcX|y.rar
rar|a|-pabcX|y.rar
unzip|-P|abcX|y.zip
redis-cli|-h|yY|-a|abcX|ping
redis-cli|--pass|abcX|ping
redis-cli|config|set|requirepass|abcX
ldapsearch|-x|-D|cn=y|-w|abcX|-b|dc=y
ldapsearch|-xwabcX
smbclient|-U|uY%pX|//hostY/share
smbclient|-UuY%pX
smbclient|--user=uY%pX
curl|-u|userY:abcX|https://hostY
curl|-uuserY:abcX
curl|-U|userY:abcX|https://hostY
curl|-sSu|aY:abcX|https://hostY
curl|-sSuaY:abcX|https://hostY
curl|-XPOST|-u|aY:abcX
curl|--user=aY:abcX
curl|--user|aY:a:bcX
curl|--proxy-user|aY:abcX
curl|-b|sid=abcX|https://hostY
curl|--cookie|sid=abc; other=dX
curl|--cookie=sid=abcX
curl|-x|userY:abcX@proxyY:3128
curl|--proxy|userY:abcX@proxyY:3128
curl|--proxy=http://userY:abcX@proxyY:3128
ssh|-o|ProxyCommand=sshpass -p abcX ssh jumpY|hostY
curl|-H|Authorization: Bearer abcX
curl|-H|Authorization: Token token="abcX"
curl|-HAuthorization: Basic abcX
curl|-H|Cookie: a=b; c="dX"
curl|-H|x-vault-token:abcX
curl|--header=x-auth-token: abcX
curl|-d|user=aY&pwd=abcX
curl|-d|user=aY&password=abcX&z=Y
wget|--password=abcX|https://hostY
wget|--http-password|abcX
http|-a|userY:abcX|hostY
http|--auth=userY:abcX
sqlplus|scottY/tigerX@db
useradd|-p|$1$abcX|userY
sh|-c|xY;mysql -pabcX
sh|-c|(mysql -pabcX)
sh|-c|aY&&mysql -pabcX&&bY
sh|-c|aY||mysql -pabcX|lessY
sh|-c|echo $(mysql -pabcX) Y
sh|-c|echo "$(mysql -pabcX) Y"
sh|-c|echo ` + "`mysql -pabcX`" + ` Y
sh|-c|bash -c 'mysql -pabcX' Y
sh|-c|bash -c "sh -c 'mysql -p\"ab cX\"'" Y
sh|-c|bash -c "sh -c \"mysql -pabcX\""
sh|-c|mysql -psecretX; curl -s https://y
sh|-c|mysql -p'sec;ret X' dbY
sh|-c|mysql -p"sec|ret X">outY
sh|-c|mysql '-psecretX' dbY
sh|-c|mysql 2>&1 -psecretX dbY
sh|-c|mysql -psecretX&
sh|-c|mysql -u root -pse\;cr\ etX dbY
sh|-c|mysql $(echo Y) -pabcX
sh|-c|if true; then mysql -pabcX; fi
sh|-c|while ! mysqladmin ping -pabcX --silent; do sleep 1; done
sh|-c|sudo -u root mysql -pabcX
sh|-c|PGPASSWORD=abcX psql -h y
sh|-c|PGPASSWORD='a b;cX' psql -h y
sh|-c|PGPASSWORD="a b"cX psql -h y
sh|-c|export PGPASSWORD=abcX;psql -h y
sh|-c|xY;PGPASSWORD=abcX psql -h y
sh|-c|PASS='$ecretX' y
sh|-c|app --password='$ecretX'
sh|-c|app --password=$(echo abcX)
sh|-c|cat <<<"password=abcX"
sh|-ec|mysql -pabcX
sh|-o|pipefail|-c|mysql -pabcX
/bin/bash|-lc|exec mysql -pabcX
busybox|sh|-c|mysql -pabcX
su|-|postgres|-c|app --password abcX
su|-c|mysql -pabcX|y
ssh|hostY|mysql -pabcX
ssh|-p22|hostY|mysql|-pabcX
watch|-n|1|mysql -pabcX -e y
xargs|-n|1|mysql|-pabcX
env|-i|A=b|mysql|-pabcX
timeout|-s|KILL|10|mysql|-pabcX
nice|-n|10|ionice|-c|3|mysqldump|-pabcX
find|/y|-exec|mysql|-pabcX|;
python3|-c|import os; os.system('mysql -pabcX')
python3|-c|connect(user="yY", password="abcX")
python3|-c|password = 'abcX'; go()
/opt/wrapY|mysql|-pabcX
mysql -uroot -pabcX dbY
app|https://uY:pX@hostY
app|https://TOKENX@hostY/a
git|clone|https://0123456789abcdef01234X@hostY/y.git
git|clone|https://ghp_0123456789abcdefghijX:x-oauth-basic@hostY/y
app|https://uY:pa/X@hostY
app|https://uY:pa'X@hostY
app|--url=postgres://uY:p@ssX@hostY/db
app|userY:abcX@tcp(hostY:3306)/db
app|--dsn=userY:a=bX@unix(/run/y)/db
app|postgres://hostY/db?password=abcX
app|postgres://hostY/db?sslmode=y&password=abcX&z=Y
app|https://hostY/?sig=abcX&z=Y
app|Server=yY;Password=abcX;Database=Y
app|Server=yY;Password=a b,cX;Database=Y
app|Driver=yY;UID=sa;PWD=abcX;z=Y
app|DefaultEndpointsProtocol=https;AccountName=y;AccountKey=abc+/=X;EndpointSuffix=Y
app|password = abcX
app|password|=|abcX
app|host=y password='a bX' user=Y
app|host=y user=z password=abcX dbname=Y
app|{"password":"abcX"}
app|{"a":"Y","password": "a\"bX", "b":"Y"}
app|{\"password\":\"abcX\",\"b\":\"Y\"}
app|{"dbPassword":12345678X}
sh|-c|curl -d "{\"password\":\"abcX\",\"b\":\"Y\"}" y
sh|-c|curl -d '{"password":"abcX","b":"Y"}' y
sh|-c|curl -H "Authorization: Bearer abcX" https://y
sh|-c|curl -H Authorization:\ Bearer\ abcX https://y
app|{password:abcX,b:Y}
sh|-c|echo $(case x in a) mysql -pabcX;; esac) Y
sh|-c|case $1 in a) mysql -pabcX;; esac
sh|-c|mysql -p${P:-abcX}
su|root|-cmysql -pabcX
systemd-run|--unit=y|mysqldump|-pabcX
nsenter|-t|1|-m|mysql|-pabcX
strace|-f|mysql|-pabcX
taskset|-c|0|mysql|-pabcX
psql|-c|ALTER USER y WITH PASSWORD 'abcX'; select 'Y'
mysql|-e|CREATE USER y IDENTIFIED BY 'abcX'
app|jdbc:oracle:thin:scottY/abcX@//h/s
app|jdbc:sqlserver://h:1433;user=y;password=abcX;encrypt=Y
xfreerdp|/u:y|/p:abcX|/v:hY
htpasswd|-b|/y|user|abcX
vault|login|abcX
aws|configure|set|aws_secret_access_key|abcX
git|config|--global|github.token|abcX
git|-c|http.extraHeader=Authorization: Basic abcX|fetchY
terraform|apply|-var|db_password=abcX
kubectl|create|secret|generic|y|--from-literal=password=abcX
mount|-t|cifs|-o|user=y,pass=abcX,uid=Y
mount|-o|password=abcX,uid=Y|/y
helm|install|--set|db.password=abcX,a=Y
app|token 'ghp_0123456789abcdefghijX' Y
app|xoxb-123456789-abcX
app|xoxp-123456789-abcX
app|glpat-abcdefghij0123456789X
`

func TestRedactSecrets(t *testing.T) {
	r := newTestRedactor(t, Redaction{})
	for line := range strings.Lines(secretLines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		in := splitLine(line)
		got := r.args(in)
		text := strings.Join(got, "|")
		if strings.Contains(text, "X") && !strings.Contains(line, "-XPOST") || !strings.Contains(text, redacted) {
			t.Errorf("args(%q) = %q, with a secret", in, got)
		}
		for _, y := range []string{"Y", "y"} {
			if strings.Count(text, y) != strings.Count(line, y) {
				t.Errorf("args(%q) = %q, which lacks a %s", in, got, y)
			}
		}
		if again := r.args(got); !slices.Equal(again, got) {
			t.Errorf("args(%q) = %q the second time", got, again)
		}
	}
}

// splitLine splits a line of a table: "|" between arguments, "||" and a "|"
// within a script excepted.
func splitLine(line string) []string {
	for _, prefix := range []string{"sh|-c|", "docker|run|--env|"} {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return append(strings.Split(strings.TrimSuffix(prefix, "|"), "|"), rest)
		}
	}
	return strings.Split(line, "|")
}

func TestRedactExactly(t *testing.T) {
	r := newTestRedactor(t, Redaction{})
	for _, c := range []struct{ in, want string }{
		{"sh|-c|mysql -psecret; curl x", "sh|-c|mysql -p[REDACTED]; curl x"},
		{"sh|-c|mysql -p'a b' x", "sh|-c|mysql -p'[REDACTED]' x"},
		{`sh|-c|x --password="a b"; y`, `sh|-c|x --password="[REDACTED]"; y`},
		{`sh|-c|x --password=a"b c"; y`, `sh|-c|x --password=[REDACTED]; y`},
		{`sh|-c|sh -c "sh -c 'mysql -p1 x' y" z`, `sh|-c|sh -c "sh -c 'mysql -p[REDACTED] x' y" z`},
		{`app|{\"password\":\"a\"}`, `app|{\"password\":\"[REDACTED]\"}`},
		{"app|eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-d x", "app|[REDACTED] x"},
		{"app|a=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0", "app|a=[REDACTED]"},
		{`sh|-c|x --password=\'ab y`, `sh|-c|x --password=[REDACTED] y`},
		{`sh|-c|x --password=$P y`, `sh|-c|x --password=$P y`},
		{`sh|-c|x --password='$P' y`, `sh|-c|x --password='[REDACTED]' y`},
		{"app|k=AKIAIOSFODNN7EXAMPLE;", "app|k=[REDACTED];"},
		{
			"app|-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx",
			"app|-----BEGIN RSA PRIVATE KEY-----[REDACTED]-----END RSA PRIVATE KEY-----\nx",
		},
		{"app|-----BEGIN PRIVATE KEY-----abc", "app|-----BEGIN PRIVATE KEY-----[REDACTED]"},
		{"app|password: two words\nuser: x", "app|password: [REDACTED]\nuser: x"},
		{"curl|-H|Authorization: Digest username=\"a\", response=\"b\"", "curl|-H|Authorization: Digest [REDACTED]"},
		{"psql|--password|db", "psql|--password|db"}, // asks for it
		{"mysql|--password|-h|db", "mysql|--password|-h|db"},
		{`app|{"passwordCredentials":{"password":"x"}}`, `app|{"passwordCredentials":{"password":"[REDACTED]"}}`},
		{"mysql|-u|x|--password=***", "mysql|-u|x|--password=***"},
	} {
		if got := strings.Join(r.args(splitLine(c.in)), "|"); got != c.want {
			t.Errorf("args(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// Command lines without a secret stay as they are, byte for byte.
func TestRedactHarmless(t *testing.T) {
	lines, err := os.ReadFile("testdata/harmless.txt")
	if err != nil {
		t.Fatal(err)
	}
	r := newTestRedactor(t, Redaction{})
	n := 0
	for line := range strings.Lines(string(lines)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			continue
		}
		n++
		in := strings.Split(line, "\t")
		if got := r.args(in); !slices.Equal(got, in) {
			t.Errorf("args(%q) = %q, want it unchanged", in, got)
		}
	}
	if n < 60 {
		t.Errorf("%d command lines, want at least 60", n)
	}
}

// Commands longer than what is held of them at a time.
func TestRedactManyWords(t *testing.T) {
	r := newTestRedactor(t, Redaction{})
	for n := maxWords - 6; n < maxWords+6; n++ {
		in := "mysql " + strings.Repeat("y ", n) + "-pX --token X z"
		want := "mysql " + strings.Repeat("y ", n) + "-p[REDACTED] --token [REDACTED] z"
		if got := r.args([]string{"sh", "-c", in})[2]; got != want {
			t.Errorf("after %d words: …%q", n, got[len(got)-60:])
		}
	}
}

// What grows at all grows by a bounded number of bytes.
func TestRedactGrowth(t *testing.T) {
	r := newTestRedactor(t, Redaction{})
	in := []string{"sh", "-c", strings.Repeat("mysql -pq;", 10_000), "--password", "q"}
	got := r.args(in)
	if n, limit := len(strings.Join(got, "")), len(strings.Join(in, ""))+maxGrowth; n > limit {
		t.Errorf("%d bytes, want at most %d", n, limit)
	}
	if text := strings.Join(got, "|"); strings.Contains(text, "-pq") || !strings.HasSuffix(text, ";mysql -p*;|--password|*") {
		t.Errorf("args = …%q, want all secrets replaced", text[len(text)-60:])
	}
	if again := r.args(got); !slices.Equal(again, got) {
		t.Error("the second time it changed more")
	}
}
