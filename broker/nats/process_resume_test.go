package natsbroker

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// freeAddr is an address that nobody listens at.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// startNginx balances over instances, in turn, and returns its address.
func startNginx(t testing.TB, instances ...string) (addr string) {
	t.Helper()
	name, err := exec.LookPath("nginx")
	if err != nil {
		name = "/usr/sbin/nginx" // not in the path of every user
	}
	if _, err := os.Stat(name); err != nil {
		t.Skip("nginx is missing: apt-get install nginx")
	}
	dir := t.TempDir()
	addr = freeAddr(t)
	config := "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log;\nevents { worker_connections 2048; }\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += fmt.Sprintf("%s_temp_path %s;\n", kind, kind)
	}
	config += "upstream instances {\n"
	for _, one := range instances {
		config += fmt.Sprintf("server %s max_fails=0;\n", one)
	}
	config += fmt.Sprintf(`}
server {
	listen %s;
	location / {
		proxy_pass http://instances;
		proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection "upgrade";
		proxy_set_header Host $http_host;
	}
}
}
`, addr)
	must(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600))
	cmd := exec.Command(name, "-e", "stderr", "-p", dir, "-c", "nginx.conf")
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if said, err := os.ReadFile(filepath.Join(dir, "error.log")); t.Failed() && err == nil {
			t.Logf("nginx said last: %s", said[max(len(said)-2000, 0):])
		}
	})
	await(t, "nginx", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}

// fleet is instances behind a load balancer, with a stream in files, and clients that roam.
type fleet struct {
	t         testing.TB
	server    *child
	configs   []processConfig
	instances []*child
	addr      string // of the load balancer
	topics    []string
	roamers   []*roamer
	marks     int

	stop       chan struct{}
	publishers sync.WaitGroup
	kills      int
	repeated   atomic.Int64 // publications that were sent again with their key

	mu    sync.Mutex
	taken map[string]numbered // what was published, by its text; without an epoch where only the number is known
}

func newFleet(t testing.TB, instances, roamers int, topics ...string) *fleet {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	f := &fleet{t: t, topics: topics, stop: make(chan struct{}), taken: make(map[string]numbered)}
	var addrs []string
	for range instances {
		addrs = append(addrs, freeAddr(t))
	}
	f.addr = startNginx(t, addrs...)
	options := newServer(t, withJetStream(t)).options
	f.server = startChild(t, serverConfig(&options))
	for i, addr := range addrs {
		f.configs = append(f.configs, processConfig{URL: "nats://" + f.server.addr, Mode: JetStream, Number: i, Listen: addr})
		f.instances = append(f.instances, nil)
		f.start(i)
	}
	for i := range roamers {
		// Two topics each, so that there are different pairs.
		f.roamers = append(f.roamers, newRoamer(t, i, f.addr, topics[i%len(topics)], topics[(i+1+i/len(topics)%(len(topics)-1))%len(topics)]))
	}
	for _, r := range f.roamers {
		await(t, "subscribed", func() bool { return r.has(r.names[0], 0) && r.has(r.names[1], 0) })
	}
	return f
}

func (f *fleet) start(i int) { f.instances[i] = startChild(f.t, f.configs[i]) }

func (f *fleet) kill(i int) {
	f.instances[i].kill()
	f.kills++
}

// post publishes with an instance.
func (f *fleet) post(i int, topic, data, key string) bool {
	resp, err := http.PostForm("http://"+f.configs[i].Listen+"/post", url.Values{"topic": {topic}, "data": {data}, "key": {key}})
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var p posted
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || p.Error != "" {
		return false
	}
	f.note(numbered{topic, p.At.Epoch, p.At.Seq, data})
	return true
}

func (f *fleet) note(n numbered) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken[n.data] = n
}

// through publishes to each topic, and waits until all have that.
func (f *fleet) through() {
	f.t.Helper()
	for _, topic := range f.topics {
		f.marks++
		mark, i := fmt.Sprint("mark ", f.marks), 0
		await(f.t, mark, func() bool {
			i++
			return f.post(i%len(f.instances), topic, mark, mark)
		})
		f.mu.Lock()
		seq := f.taken[mark].seq
		f.mu.Unlock()
		for _, r := range f.roamers {
			if slices.Contains(r.names, topic) && !within(patience, func() bool { return r.has(topic, seq) }) {
				f.t.Fatalf("%s is %s %d, and after %v does not come to %v", mark, topic, seq, patience, r)
			}
		}
	}
}

// publish calls a function that publishes, with a text and a topic, again and again until end.
func (f *fleet) publish(who string, every time.Duration, post func(topic, data string)) {
	f.publishers.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for number := 1; ; number++ {
			select {
			case <-tick.C:
				post(f.topics[rand.IntN(len(f.topics))], fmt.Sprintf("%s %d", who, number))
			case <-f.stop:
				return
			}
		}
	})
}

// begin has publishers on all instances. Some do not know what became of a publication that failed. Others have a key, and publish it again.
// And there are clients that do, behind the load balancer.
func (f *fleet) begin(every time.Duration) {
	repeat := func(attempt func(try int) bool) {
		retry := time.NewTicker(10 * time.Millisecond)
		defer retry.Stop()
		for try := 0; !attempt(try); try++ {
			f.repeated.Add(1)
			<-retry.C
		}
	}
	for i := range f.instances {
		f.publish(fmt.Sprint("once-", i), every, func(topic, data string) { f.post(i, topic, data, "") })
		f.publish(fmt.Sprint("key-", i), every, func(topic, data string) {
			repeat(func(try int) bool { return f.post((i+try)%len(f.instances), topic, data, data) })
		})
		author := newRoamer(f.t, 1000+i, f.addr, f.topics[i])
		f.publish(fmt.Sprint("author-", i), every, func(topic, data string) {
			repeat(func(int) bool {
				seq, ok := author.post(topic, data, data)
				if ok {
					f.note(numbered{name: topic, seq: seq, data: data})
				}
				return ok
			})
		})
		f.roamers = append(f.roamers, author)
	}
}

// end checks all roamers: each has everything of its topics, once, in the one order that all see. And what was taken is there, with the
// number that was answered.
func (f *fleet) end() {
	f.t.Helper()
	close(f.stop)
	f.publishers.Wait()
	f.through()
	all := make(map[string]map[uint64]numbered) // by topic and number
	for _, topic := range f.topics {
		all[topic] = make(map[uint64]numbered)
	}
	for _, r := range f.roamers {
		r.end()
		for _, name := range r.names {
			for _, n := range r.stands[name].got {
				if other, is := all[name][n.seq]; is && other != n {
					f.t.Errorf("%s %d is %+v and %+v", name, n.seq, n, other)
				}
				all[name][n.seq] = n
			}
		}
	}
	texts := f.checkOrder(all)
	for data, n := range f.taken {
		if got, is := texts[data]; !is || got.name != n.name || got.seq != n.seq || n.epoch != "" && got.epoch != n.epoch {
			f.t.Errorf("%+v was taken, and there is %+v", n, got)
		}
	}
	deliveries, roams, slowest := 0, roamed{}, []time.Duration{}
	for _, r := range f.roamers {
		for _, name := range r.names {
			deliveries += len(r.stands[name].got)
			f.checkStand(r, r.stands[name], all[name])
		}
		n := r.roamed
		if n.resumes == 0 || n.gaps > 0 {
			f.t.Errorf("roamer %d: %+v", r.number, n)
		}
		roams.connections += n.connections
		roams.refused += n.refused
		roams.resumes += n.resumes
		roams.replayed += n.replayed
		roams.byes += n.byes
		slowest = append(slowest, n.pause)
	}
	if roams.replayed == 0 || roams.byes == 0 {
		f.t.Errorf("%+v", roams)
	}
	slices.Sort(slowest)
	f.t.Logf("%d kills, %d clients, %d publications (%d taken, %d sent again), %d deliveries, %d connections (%d refused, %d byes), %d resumes, %d replayed, longest gap at a client: median %d ms, longest %d ms",
		f.kills, len(f.roamers), len(texts), len(f.taken), f.repeated.Load(), deliveries, roams.connections, roams.refused, roams.byes, roams.resumes, roams.replayed,
		slowest[len(slowest)/2].Milliseconds(), slowest[len(slowest)-1].Milliseconds())
}

// checkOrder checks that nothing is there twice, and what each publisher has published is in order. It returns all, by its text.
func (f *fleet) checkOrder(all map[string]map[uint64]numbered) map[string]numbered {
	f.t.Helper()
	texts := make(map[string]numbered)
	for _, topic := range f.topics {
		last := make(map[string]int) // by publisher
		for _, seq := range slices.Sorted(maps.Keys(all[topic])) {
			n := all[topic][seq]
			if other, is := texts[n.data]; is {
				f.t.Errorf("published twice: %+v and %+v", other, n)
			}
			texts[n.data] = n
			var who string
			var number int
			_, err := fmt.Sscan(n.data, &who, &number)
			if must(f.t, err); number <= last[who] {
				f.t.Errorf("%s %d of %s comes behind %d", who, number, topic, last[who])
			}
			last[who] = number
		}
	}
	return texts
}

// checkStand compares what a roamer has got of a topic with what there is.
func (f *fleet) checkStand(r *roamer, s *stand, all map[uint64]numbered) {
	f.t.Helper()
	var want []uint64
	for _, seq := range slices.Sorted(maps.Keys(all)) {
		if seq > s.first {
			want = append(want, seq)
		}
	}
	var got []uint64
	for _, n := range s.got {
		got = append(got, n.seq)
	}
	if !slices.Equal(got, want) {
		missing := slices.DeleteFunc(slices.Clone(want), func(seq uint64) bool { return slices.Contains(got, seq) })
		f.t.Errorf("roamer %d has got %d publications of %d; it misses %d", r.number, len(got), len(want), missing)
	}
}

// TestResumeAnywhere: clients are behind nginx and three instances, which are killed, each twice, and asked to end. What clients miss meanwhile,
// the instance that they come to gives them.
func TestResumeAnywhere(t *testing.T) {
	f := newFleet(t, 3, 200, "kept", "kept-b", "kept-c", "kept.*>")
	f.begin(40 * time.Millisecond * slowdown)
	for i := range f.instances { // clients come back to the others
		f.kill(i)
		f.through()
		f.start(i)
		f.through()
	}
	for i := range f.instances { // or to one that has just begun
		f.kill(i)
		f.start(i)
		f.through()
	}
	f.instances[0].terminate()
	f.through()
	f.start(0)
	f.through()
	f.end()
}
