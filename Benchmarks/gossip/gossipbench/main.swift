import Replication

print(GossipNode.streamType)
