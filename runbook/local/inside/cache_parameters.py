"""ElastiCache's parameter groups, engines and versions: those of its tables that this cloud can really run."""

from dataclasses import dataclass, field

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT

# "Engine and version compatibility": version of CreateReplicationGroup -> parameter group family. The first is the
# default. redis-server of this computer stands for all of them.
FAMILIES = {
    "redis": {"7.1": "redis7", "7.0": "redis7"},
    "valkey": {"8.0": "valkey8", "8.1": "valkey8", "7.2": "valkey7"},
}
FULL_VERSIONS = {
    ("redis", "7.1"): "7.1.0",
    ("redis", "7.0"): "7.0.7",
    ("valkey", "8.0"): "8.0.1",
    ("valkey", "8.1"): "8.1.0",
    ("valkey", "7.2"): "7.2.6",
}
DEFAULT_GROUPS = [(f"default.{name}", name) for name in ("redis7", "valkey7", "valkey8")]

# "Redis OSS node-type specific parameters": maxmemory in bytes.
NODE_TYPES = {
    "cache.t3.micro": 536870912,
    "cache.t3.small": 1471026299,
    "cache.t3.medium": 3317862236,
    "cache.t4g.micro": 536870912,
    "cache.t4g.small": 1471026299,
    "cache.t4g.medium": 3317862236,
    "cache.m6g.large": 6854542746,
    "cache.m6g.xlarge": 13891921715,
    "cache.m7g.large": 6854542746,
    "cache.r6g.large": 14037181030,
    "cache.r7g.large": 14037181030,
}

POLICIES = "volatile-lru,allkeys-lru,volatile-lfu,allkeys-lfu,volatile-random,allkeys-random,volatile-ttl,noeviction"
# "Redis OSS parameters": name -> (default, allowed values, data type).
TABLE = {
    "activedefrag": ("no", "yes,no", "string"),
    "databases": ("16", "1-1200000", "integer"),
    "lazyfree-lazy-eviction": ("no", "yes,no", "string"),
    "maxmemory-policy": ("volatile-lru", POLICIES, "string"),
    "maxmemory-samples": ("3", "1-", "integer"),
    "reserved-memory-percent": ("25", "0-100", "integer"),
    "tcp-keepalive": ("300", "0-", "integer"),
    "timeout": ("0", "0,20-", "integer"),
}
DEFAULTS = {name: default for name, (default, _, _) in TABLE.items()}


@dataclass
class ParameterGroup:
    """A parameter group; `changed` holds the parameters that differ from the family's defaults."""

    region: str
    name: str
    family: str
    description: str = ""
    changed: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:elasticache:{self.region}:{ACCOUNT}:parametergroup:{self.name}"

    def shown(self) -> dict:
        return {
            "CacheParameterGroupName": self.name,
            "CacheParameterGroupFamily": self.family,
            "Description": self.description or f"Default parameter group for {self.family}",
            "IsGlobal": False,
            "ARN": self.arn,
        }

    def parameters(self) -> list[dict]:
        return [
            {
                "ParameterName": name,
                "ParameterValue": self.changed.get(name, default),
                "Source": "user" if name in self.changed else "system",
                "DataType": kind,
                "AllowedValues": values,
                "IsModifiable": True,
                "MinimumEngineVersion": "7.0.4",
                "ChangeType": "immediate",
            }
            for name, (default, values, kind) in TABLE.items()
        ]


def fits(name: str, value: str) -> bool:
    """Whether a value is among a parameter's allowed ones."""
    for allowed in TABLE[name][1].split(","):
        low, dash, high = allowed.partition("-")
        if value == allowed:
            return True
        if dash and low.isdecimal() and value.isdecimal() and int(low) <= int(value) <= int(high or value):
            return True
    return False
