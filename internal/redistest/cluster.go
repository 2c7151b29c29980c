package redistest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is three masters, each with a replica if it was started with them.
type Cluster struct {
	Nodes    []*Server // the masters
	Replicas []*Server // of the master with the same number

	t      testing.TB
	client *redis.ClusterClient
}

// StartCluster starts a cluster, which takes Redis two to three seconds. It skips
// the test where redis-server is not installed.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	if !installed(t) {
		t.Skip("redis-server is not installed: Redis Cluster was not tested")
	}
	ctx := context.Background()
	c := &Cluster{t: t}
	for range 3 {
		c.Nodes = append(c.Nodes, startNode(t, clusterNode...))
	}
	slots := [][2]int{{0, 5460}, {5461, 10922}, {10923, 16383}}
	for i, n := range c.Nodes {
		must(t, n.patient.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		must(t, n.patient.ClusterAddSlotsRange(ctx, slots[i][0], slots[i][1]).Err())
	}
	for _, n := range c.Nodes[1:] {
		host, port, _ := strings.Cut(n.Addr, ":")
		must(t, c.Nodes[0].patient.ClusterMeet(ctx, host, port).Err())
	}
	for _, n := range c.Nodes {
		Eventually(t, "all of the cluster knows all of it", func() bool {
			info := n.patient.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_known_nodes:3") &&
				strings.Contains(info, "cluster_slots_assigned:16384")
		})
	}
	c.connect()
	return c
}

// StartClusterWithReplicas starts one in which a replica takes over from a master that
// dies, two to three seconds later.
func StartClusterWithReplicas(t testing.TB) *Cluster {
	t.Helper()
	c := StartCluster(t)
	ctx := context.Background()
	host, port, _ := strings.Cut(c.Nodes[0].Addr, ":")
	for range c.Nodes {
		n := startNode(t, clusterNode...)
		must(t, n.patient.ClusterMeet(ctx, host, port).Err())
		c.Replicas = append(c.Replicas, n)
	}
	for i, n := range c.Replicas {
		id := c.Nodes[i].patient.ClusterMyID(ctx).Val()
		Eventually(t, "the new node knows its master", func() bool {
			return n.patient.ClusterReplicate(ctx, id).Err() == nil
		})
	}
	for _, n := range c.Replicas {
		Eventually(t, "the replica has caught up", func() bool {
			return strings.Contains(n.patient.Info(ctx, "replication").Val(), "master_link_status:up")
		})
	}
	for _, n := range c.Nodes {
		Eventually(t, "all of the cluster knows the replicas", func() bool {
			return strings.Count(n.patient.ClusterNodes(ctx).Val(), "slave") == len(c.Replicas)
		})
	}
	return c
}

// Failover kills the master with number i, and returns when its replica has taken over.
func (c *Cluster) Failover(i int) {
	c.t.Helper()
	ctx := context.Background()
	must(c.t, c.Nodes[i].patient.Do(ctx, "WAIT", 1, 1000).Err())
	c.Nodes[i].Stop()
	for _, n := range append(c.Nodes[:i:i], c.Nodes[i+1:]...) {
		Eventually(c.t, "the replica was promoted", func() bool {
			return strings.Contains(c.Replicas[i].patient.Info(ctx, "replication").Val(), "role:master") &&
				strings.Contains(n.patient.ClusterInfo(ctx).Val(), "cluster_state:ok")
		})
	}
	c.client.ReloadState(ctx)
}

var clusterNode = []string{"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
	"--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"}

func (c *Cluster) connect() {
	c.client = redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                 c.Addrs(),
		DialTimeout:           500 * time.Millisecond,
		ReadTimeout:           250 * time.Millisecond,
		WriteTimeout:          250 * time.Millisecond,
		PoolTimeout:           250 * time.Millisecond,
		PipelinePoolSize:      -1,
		PoolSize:              64,
		ContextTimeoutEnabled: true,
	})
	c.t.Cleanup(func() { c.client.Close() })
}

// Addrs returns the addresses of the nodes.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.Addr)
	}
	return addrs
}

// Client returns a client of the cluster, the same each time.
func (c *Cluster) Client() *redis.ClusterClient { return c.client }

// MoveSlot moves the slot of key, with all that is in it, to another master.
func (c *Cluster) MoveSlot(key string) {
	c.t.Helper()
	ctx := context.Background()
	slot := c.Nodes[0].patient.ClusterKeySlot(ctx, key).Val()
	from := c.owner(slot)
	to := c.Nodes[0]
	if to == from {
		to = c.Nodes[1]
	}
	ids := make(map[*Server]string)
	for _, n := range c.Nodes {
		ids[n] = n.patient.ClusterMyID(ctx).Val()
	}
	must(c.t, to.patient.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from]).Err())
	must(c.t, from.patient.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]).Err())
	host, port, _ := strings.Cut(to.Addr, ":")
	for {
		keys := from.patient.ClusterGetKeysInSlot(ctx, int(slot), 100).Val()
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}
		for _, key := range keys {
			args = append(args, key)
		}
		must(c.t, from.patient.Do(ctx, args...).Err())
	}
	for _, n := range c.Nodes {
		must(c.t, n.patient.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", ids[to]).Err())
	}
}

// owner returns the master that has slot.
func (c *Cluster) owner(slot int64) *Server {
	for _, shard := range c.Nodes[0].patient.ClusterShards(context.Background()).Val() {
		for _, part := range shard.Slots {
			if slot < part.Start || slot > part.End {
				continue
			}
			for _, n := range c.Nodes {
				if strings.HasSuffix(n.Addr, fmt.Sprint(":", shard.Nodes[0].Port)) {
					return n
				}
			}
		}
	}
	c.t.Fatalf("redistest: nobody has slot %d", slot)
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
}
