package session_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/idxauth/idxauth/internal/redistest"
	"github.com/idxauth/idxauth/session"
)

// patience is how long tests wait for Redis that are not about waiting: on a machine with
// load 20, a quarter of a second is not much.
const patience = 20 * time.Second

var patientStore = &session.RedisOptions{Timeout: 2 * patience}

// redisServer is a server whose client is the patient one.
type redisServer struct{ *redistest.Server }

func (s redisServer) Client() *redis.Client { return s.Patient() }

// hasClient is a redisServer, or a server of package redistest.
type hasClient interface{ Client() *redis.Client }

func openRedis(t testing.TB) redisServer { return redisServer{redistest.Start(t)} }

// openCluster returns a client of the cluster that is as patient.
func openCluster(t testing.TB, cluster *redistest.Cluster) *redis.ClusterClient {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: cluster.Addrs(), ContextTimeoutEnabled: true, PoolSize: 64, PipelinePoolSize: -1,
		DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience,
	})
	t.Cleanup(func() { client.Close() })
	return client
}
