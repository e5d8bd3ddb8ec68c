import Memberlist
