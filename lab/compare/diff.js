// Reads {variants: [{name, templates: {stack: template}}], pairs: [[from, to]]} from standard input. Writes a JSON list with a
// Pair (see diff.go) for each of the pairs, which are indexes of variants. The differences come from the library that cdk diff
// uses.
const { fullDiff, ResourceImpact } = require('@aws-cdk/cloudformation-diff')

const sorted = texts => [...new Set(texts)].sort()

const statement = s => {
  const { effect, principal, action, resource } = s.render()
  const condition = s.condition ? ` if ${JSON.stringify(s.condition)}` : ''
  return `${effect} ${principal}: ${action} on ${resource}`.replaceAll('\n', ', ').trim() + condition
}
const attachment = p => `${p.identityArn} has the policy ${p.managedPolicyArn}`
const rule = direction => r => `${r.groupId} ${direction} ${r.describePeer()}: ${r.describeProtocol()}`

const lists = {
  [ResourceImpact.WILL_CREATE]: 'added',
  [ResourceImpact.WILL_DESTROY]: 'removed',
  [ResourceImpact.WILL_ORPHAN]: 'removed',
  [ResourceImpact.WILL_REPLACE]: 'replaced',
  [ResourceImpact.MAY_REPLACE]: 'may_be_replaced',
}

// causes returns the properties that change; for a resource that is or may be replaced, those that cause the replacement.
function causes(change, list) {
  if (list === 'added' || list === 'removed') return undefined
  if (change.resourceTypeChanged) return ['Type']
  const properties = Object.keys(change.propertyUpdates)
  return sorted(list === 'updated' ? [...properties, ...Object.keys(change.otherChanges)]
    : properties.filter(name => change.propertyUpdates[name].changeImpact === change.changeImpact))
}

// holders are the resources that hold the sessions of a store, or the keys of visitors' sessions, with the property of their
// physical name.
const holders = {
  dynamodb: { 'AWS::DynamoDB::GlobalTable': 'TableName' },
  valkey: { 'AWS::ElastiCache::ReplicationGroup': 'ReplicationGroupId', 'AWS::ElastiCache::ServerlessCache': 'ServerlessCacheName' },
  memcached: { 'AWS::ElastiCache::CacheCluster': 'ClusterName', 'AWS::ElastiCache::ServerlessCache': 'ServerlessCacheName' },
  postgres: { 'AWS::RDS::DBCluster': 'DBClusterIdentifier' },
  cookie: { 'AWS::SecretsManager::Secret': 'Name' },
  token: { 'AWS::SecretsManager::Secret': 'Name' },
}
// ranks orders the outcomes for the sessions: see diff.go.
const ranks = ['kept', 'some-lost', 'new-address', 'refused', 'lost']

// inEnvironment returns the value of a variable in the servers' environment, or undefined. There are no servers without a
// launch template.
function inEnvironment(templates, variable) {
  const machines = Object.values(templates).flatMap(t => Object.values(t.Resources ?? {})).filter(r => r?.Type === 'AWS::EC2::LaunchTemplate')
  const text = JSON.stringify(machines.map(r => r.Properties?.LaunchTemplateData?.UserData ?? ''))
  return text.match(new RegExp(`\\\\n${variable}=\\\\"([^"\\\\]*)\\\\"`))?.[1]
}

// storeOf returns the session store of the servers, undefined without servers. It is memory if their environment names none.
function storeOf(templates) {
  const server = inEnvironment(templates, 'SERVER_NAME')
  return server === undefined ? undefined : inEnvironment(templates, 'SESSION_STORE') ?? 'memory'
}

// outcome returns what happens to the sessions in a resource: CloudFormation refuses to replace one whose name stays the same.
function outcome(type, name, change) {
  const before = change.oldValue, after = change.newValue
  if (before === undefined) return 'kept'
  switch (change.changeImpact) {
    case ResourceImpact.WILL_DESTROY: case ResourceImpact.WILL_ORPHAN: return 'lost'
    case ResourceImpact.MAY_REPLACE: {
      const [cause, ...others] = causes(change, 'may_be_replaced').filter(property => property !== 'PreferredAvailabilityZones')
      if (others.length === 0 && cause === 'NumNodeGroups' && after?.UpdatePolicy?.UseOnlineResharding === true) return 'kept'
      if (others.length === 0 && cause === 'NumCacheNodes' && [before, after].every(r => r?.Properties?.PreferredAvailabilityZones)) {
        return 'some-lost'
      }
    } // falls through
    case ResourceImpact.WILL_REPLACE: {
      const old = before?.Properties?.[name]
      return old != null && JSON.stringify(old) === JSON.stringify(after?.Properties?.[name]) ? 'refused' : 'lost'
    }
    default: return 'kept'
  }
}

// rolls reports whether a change makes CloudFormation replace the servers one by one. Loaders have a launch template without a
// group.
function rolls({ stack, type, list, change }, templates) {
  const group = Object.values(templates[stack]?.Resources ?? {}).some(r => r?.Type === 'AWS::AutoScaling::AutoScalingGroup')
  if (!group || list === 'added') return false
  return type === 'AWS::EC2::LaunchTemplate' || type === 'AWS::AutoScaling::AutoScalingGroup' && (list !== 'updated' ||
    ['LaunchTemplate', 'MixedInstancesPolicy', 'VPCZoneIdentifier'].some(property => property in change.propertyUpdates))
}

// sessions returns the worst outcome of an update for the sessions, and the resources that cause it.
function sessions(from, to, changes) {
  const store = storeOf(from)
  const types = store === undefined ? Object.assign({}, ...Object.values(holders)) : holders[store] ?? {}
  const found = Object.fromEntries(ranks.map(rank => [rank, []]))
  for (const changed of changes) {
    const { id, type, list, change } = changed
    if (type in types) found[outcome(type, types[type], change)].push(id)
    if (store === 'memory' && rolls(changed, from)) found.lost.push(id) // the servers hold the sessions
    if (type === 'AWS::ElasticLoadBalancingV2::LoadBalancer' && list === 'replaced') found['new-address'].push(id)
  }
  const address = templates => JSON.stringify(Object.values(templates).map(t => t.Outputs?.URL?.Value).filter(Boolean))
  if (address(from) !== address(to)) found['new-address'].push('URL')
  const result = ranks.findLast(rank => found[rank].length > 0) ?? 'kept'
  return { result, causes: result === 'kept' ? [] : sorted(found[result]) }
}

function compare(from, to) {
  const pair = { from: from.name, to: to.name, added: [], removed: [], kept: [], replaced: [], may_be_replaced: [], updated: [] }
  const changes = []
  const permissions = { added: [], removed: [] }, network = { added: [], removed: [] }
  for (const stack of sorted([...Object.keys(from.templates), ...Object.keys(to.templates)])) {
    const diff = fullDiff(from.templates[stack] ?? {}, to.templates[stack] ?? {})
    for (const [id, change] of Object.entries(diff.resources.changes).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const type = change.newResourceType ?? change.oldResourceType
      if (type === 'AWS::CDK::Metadata') continue
      const list = lists[change.changeImpact] ?? 'updated'
      const entry = { stack, id, type, properties: causes(change, list) }
      pair[list].push(entry)
      changes.push({ stack, id, type: change.oldResourceType ?? type, list, change })
      const policy = change.oldValue?.DeletionPolicy ?? 'Delete'
      if (list === 'removed' && policy !== 'Delete') pair.kept.push({ ...entry, policy })
    }
    for (const [field, key] of [['added', 'additions'], ['removed', 'removals']]) {
      permissions[field].push(...diff.iamChanges.statements[key].map(statement),
        ...diff.iamChanges.managedPolicies[key].map(attachment))
      network[field].push(...diff.securityGroupChanges.ingress[key].map(rule('from')),
        ...diff.securityGroupChanges.egress[key].map(rule('to')))
    }
  }
  for (const lines of [permissions, network]) for (const list in lines) lines[list] = sorted(lines[list])
  return { ...pair, permissions, network, sessions: sessions(from.templates, to.templates, changes) }
}

const { variants, pairs } = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const results = []
for (const [from, to] of pairs) {
  try {
    results.push(compare(variants[from], variants[to]))
  } catch (error) {
    console.error(`${variants[from].name} and ${variants[to].name}: ${error.message}`)
    process.exit(1)
  }
}
process.stdout.write(JSON.stringify(results))
