package redistest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is three masters without replicas.
type Cluster struct {
	Nodes []*Server

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
		c.Nodes = append(c.Nodes, startNode(t,
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000"))
	}
	slots := [][2]int{{0, 5460}, {5461, 10922}, {10923, 16383}}
	for i, n := range c.Nodes {
		must(t, n.client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		must(t, n.client.ClusterAddSlotsRange(ctx, slots[i][0], slots[i][1]).Err())
	}
	for _, n := range c.Nodes[1:] {
		host, port, _ := strings.Cut(n.Addr, ":")
		must(t, c.Nodes[0].client.ClusterMeet(ctx, host, port).Err())
	}
	for _, n := range c.Nodes {
		Eventually(t, "all of the cluster knows all of it", func() bool {
			info := n.client.ClusterInfo(ctx).Val()
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_known_nodes:3") &&
				strings.Contains(info, "cluster_slots_assigned:16384")
		})
	}
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
	t.Cleanup(func() { c.client.Close() })
	return c
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
	slot := c.Nodes[0].client.ClusterKeySlot(ctx, key).Val()
	from := c.owner(slot)
	to := c.Nodes[0]
	if to == from {
		to = c.Nodes[1]
	}
	ids := make(map[*Server]string)
	for _, n := range c.Nodes {
		ids[n] = n.client.ClusterMyID(ctx).Val()
	}
	must(c.t, to.client.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from]).Err())
	must(c.t, from.client.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]).Err())
	host, port, _ := strings.Cut(to.Addr, ":")
	for {
		keys := from.client.ClusterGetKeysInSlot(ctx, int(slot), 100).Val()
		if len(keys) == 0 {
			break
		}
		args := []any{"MIGRATE", host, port, "", 0, 5000, "KEYS"}
		for _, key := range keys {
			args = append(args, key)
		}
		must(c.t, from.client.Do(ctx, args...).Err())
	}
	for _, n := range c.Nodes {
		must(c.t, n.client.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", ids[to]).Err())
	}
}

// owner returns the master that has slot.
func (c *Cluster) owner(slot int64) *Server {
	for _, shard := range c.Nodes[0].client.ClusterShards(context.Background()).Val() {
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
