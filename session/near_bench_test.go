package session_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// What the near cache costs in truth, measured on two instances of an application
// and one Redis. These are experiments: they report, and fail only where a promise is
// broken that no slow machine excuses.

// BenchmarkRevocationDelay reports how long a session that is ended on one instance
// is still let in by another one, whose cache has it.
func BenchmarkRevocationDelay(b *testing.B) {
	b.Run("near cache", func(b *testing.B) { revocationDelay(b, session.NearCache{}) })
	b.Run("off", func(b *testing.B) { revocationDelay(b, session.NearCache{Off: true}) })
}

func revocationDelay(b *testing.B, cache session.NearCache) {
	server := startRedis(b)
	here, w := node(b, server.Addr, session.Config{NearCache: cache})
	there, _ := node(b, server.Addr, session.Config{})
	var delays []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		_, r := signIn(b, there, fmt.Sprint("ada", i))
		s := mustLoad(b, there, r)
		if !cache.Off {
			warm(b, here, w, r)
		}
		b.StartTimer()
		if err := there.End(b.Context(), s); err != nil {
			b.Fatal(err)
		}
		ended := time.Now()
		for {
			if _, err := here.Load(r); err != nil {
				break
			}
			time.Sleep(10 * time.Microsecond)
		}
		delays = append(delays, time.Since(ended))
	}
	reportDelays(b, delays)
}

func reportDelays(b *testing.B, delays []time.Duration) {
	slices.Sort(delays)
	report := func(name string, of int) { b.ReportMetric(float64(delays[of])/1e3, name) }
	report("p50-µs", len(delays)/2)
	report("p99-µs", len(delays)*99/100)
	report("max-µs", len(delays)-1)
}

// BenchmarkFollowDelay reports how long a context goes on that follows a session which
// is ended on the other instance, while 1,000 other sessions are followed as well.
func BenchmarkFollowDelay(b *testing.B) {
	server := startRedis(b)
	here, w := node(b, server.Addr, session.Config{})
	there, _ := node(b, server.Addr, session.Config{})
	for i := range 1000 {
		_, r := signIn(b, here, fmt.Sprint("bob", i))
		follow(b, here, r)
	}
	var delays []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		_, r := signIn(b, there, fmt.Sprint("ada", i))
		s := mustLoad(b, there, r)
		warm(b, here, w, r)
		live := follow(b, here, r)
		b.StartTimer()
		if err := there.End(b.Context(), s); err != nil {
			b.Fatal(err)
		}
		ended := time.Now()
		<-live.Done()
		delays = append(delays, time.Since(ended))
	}
	reportDelays(b, delays)
}

// BenchmarkStaleReads counts reads that return a value which was superseded more than
// 5 ms before, while another instance makes 2,000 writes a second. An iteration is a
// read; run it for a million, with -benchtime 1000000x.
func BenchmarkStaleReads(b *testing.B) {
	const sessions, writesPerSecond = 64, 2000
	server := startRedis(b)
	here, w := node(b, server.Addr, session.Config{})
	there, _ := node(b, server.Addr, session.Config{})
	requests := make([]*http.Request, sessions)
	// written is when the value of each session was confirmed, by its number.
	var written [sessions][]atomic.Int64
	var last [sessions]atomic.Int64
	for i := range requests {
		_, requests[i] = signIn(b, there, fmt.Sprint("ada", i))
		written[i] = make([]atomic.Int64, 1<<16)
		mustPut(b, in(b, there, requests[i]), "n", 0)
		warm(b, here, w, requests[i])
	}
	start := time.Now()
	done := make(chan struct{})
	var writer sync.WaitGroup
	writes := 0
	writer.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			var batch sync.WaitGroup
			for _, i := range rand.Perm(sessions)[:writesPerSecond/100] {
				n := last[i].Load() + 1
				batch.Go(func() {
					mustPut(b, in(b, there, requests[i]), "n", n)
					written[i][n].Store(int64(time.Since(start)))
					last[i].Store(n)
				})
				writes++
			}
			batch.Wait()
		}
	})
	var stale atomic.Int64
	var oldest atomic.Int64
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for round := 1; pb.Next(); round++ {
			if round%20 == 0 {
				// As a server has it, which waits for the network: goroutines that
				// never wait keep Go from looking at the network for 10 ms.
				time.Sleep(time.Millisecond)
			}
			i := rand.IntN(sessions)
			asked := int64(time.Since(start))
			n, ok, err := session.Get[int64](in(b, here, requests[i]), "n")
			if err != nil || !ok {
				b.Errorf("Get: %v, %v", ok, err)
				return
			}
			// The next value was confirmed so long before this read began.
			if next := written[i][n+1].Load(); next > 0 && next < asked {
				age := asked - next
				if age > int64(5*time.Millisecond) {
					stale.Add(1)
				}
				for old := oldest.Load(); age > old && !oldest.CompareAndSwap(old, age); old = oldest.Load() {
				}
			}
		}
	})
	b.StopTimer()
	close(done)
	writer.Wait()
	took := b.Elapsed()
	b.ReportMetric(float64(writes)/took.Seconds(), "writes/s")
	b.ReportMetric(float64(stale.Load()), "stale>5ms")
	b.ReportMetric(float64(oldest.Load())/1e3, "oldest-µs")
	if limit := 2500 * time.Millisecond; time.Duration(oldest.Load()) > limit {
		b.Errorf("a value was served %v after it was superseded, want at most %v", time.Duration(oldest.Load()), limit)
	}
	for i, r := range requests {
		redistest.Eventually(b, "the last value is seen", func() bool {
			n, _, err := session.Get[int64](in(b, here, r), "n")
			return err == nil && n == last[i].Load()
		})
	}
}

// BenchmarkInvalidationStorm loads 10,000 warm sessions in turn, while other ones, or
// as many as 5,000 of them a second, change.
func BenchmarkInvalidationStorm(b *testing.B) {
	const sessions = 10_000
	server := startRedis(b)
	here, w := node(b, server.Addr, session.Config{})
	there, _ := node(b, server.Addr, session.Config{})
	requests := make([]*http.Request, sessions)
	keys := make([]string, sessions)
	for i := range requests {
		s, r := signIn(b, there, fmt.Sprint("ada", i))
		requests[i], keys[i] = r, recordKey(r, s)
	}
	warm(b, here, w, requests[0])
	for _, rate := range []int{0, 1000, 5000} {
		b.Run(fmt.Sprintf("changes=%d/s", rate), func(b *testing.B) {
			for _, r := range requests {
				mustLoad(b, here, r)
			}
			done := make(chan struct{})
			var writer sync.WaitGroup
			writer.Go(func() {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-done:
						return
					case <-tick.C:
					}
					pipe := server.Client().Pipeline()
					for range rate / 100 {
						pipe.PExpire(b.Context(), keys[rand.IntN(sessions)], time.Hour)
					}
					if _, err := pipe.Exec(b.Context()); err != nil {
						b.Error(err)
					}
				}
			})
			w.take()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(sessions); pb.Next(); i = (i + 1) % sessions {
					mustLoad(b, here, requests[i])
				}
			})
			b.StopTimer()
			close(done)
			writer.Wait()
			b.ReportMetric(float64(reads(w))/float64(b.N), "reads/load")
		})
	}
}
