package collector

import (
	"strings"
	"testing"
)

// Costs of typical command lines, and of the worst: the time for each byte of
// hostile ones must not grow with their length.
func BenchmarkRedact(b *testing.B) {
	r := newTestRedactor(b, Redaction{})
	for _, c := range []struct{ name, line string }{
		{"short", "/usr/sbin/sshd|-D"},
		{"sleep", "sleep|1000"},
		{"kubelet", "/usr/bin/kubelet|--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf|--kubeconfig=/etc/kubernetes/kubelet.conf|--config=/var/lib/kubelet/config.yaml|--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock|--pod-infra-container-image=registry.k8s.io/pause:3.9"},
		{"java", "/usr/lib/jvm/java-17/bin/java|-Xms1g|-Xmx1g|-XX:+UseG1GC|-Djava.io.tmpdir=/tmp/es|-Dlog4j2.disable.jmx=true|-Des.path.home=/usr/share/elasticsearch|-cp|/usr/share/elasticsearch/lib/*|org.elasticsearch.bootstrap.Elasticsearch|-d"},
		{"script", "sh|-c|cd /srv/app && exec ./run --port 8080 --log-level info 2>&1 | tee /var/log/app.log"},
		{"secrets", "sh|-c|PGPASSWORD=abc psql -h db; curl -u me:hunter2 https://me:x@host/"},
	} {
		list := strings.Split(c.line, "|")
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.args(list)
			}
		})
	}
	for _, c := range []struct{ name, unit string }{
		{"quotes", `'"`},
		{"names", "password"},
		{"assignments", "token=a;"},
		{"urls", "x://u:p/"},
		{"jwt", "eyJ-"},
		{"substitutions", "$("},
		{"backticks", "`a "},
		{"json", `"password":"\`},
		{"escapes", `\'a `},
		{"clients", "mysql -pX;"},
	} {
		for _, size := range []int{128 << 10, 2 << 20} {
			list := []string{"sh", "-c", strings.Repeat(c.unit, size/len(c.unit))}
			b.Run("hostile/"+c.name+map[int]string{128 << 10: "/128K", 2 << 20: "/2M"}[size], func(b *testing.B) {
				b.SetBytes(int64(len(list[2])))
				for b.Loop() {
					r.args(list)
				}
			})
		}
	}
}
