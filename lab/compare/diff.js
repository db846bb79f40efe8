// Reads variants, [{name, templates: {stack: template}}], from standard input. Writes a JSON list with a Pair (see diff.go)
// for every two variants, in both directions. The differences come from the library that cdk diff uses.
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

function compare(from, to) {
  const pair = { from: from.name, to: to.name, added: [], removed: [], kept: [], replaced: [], may_be_replaced: [], updated: [] }
  const permissions = { added: [], removed: [] }, network = { added: [], removed: [] }
  for (const stack of sorted([...Object.keys(from.templates), ...Object.keys(to.templates)])) {
    const diff = fullDiff(from.templates[stack] ?? {}, to.templates[stack] ?? {})
    for (const [id, change] of Object.entries(diff.resources.changes).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const type = change.newResourceType ?? change.oldResourceType
      if (type === 'AWS::CDK::Metadata') continue
      const list = lists[change.changeImpact] ?? 'updated'
      const entry = { stack, id, type, properties: causes(change, list) }
      pair[list].push(entry)
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
  return { ...pair, permissions, network }
}

const variants = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const pairs = []
for (const from of variants) {
  for (const to of variants) {
    if (from === to) continue
    try {
      pairs.push(compare(from, to))
    } catch (error) {
      console.error(`${from.name} and ${to.name}: ${error.message}`)
      process.exit(1)
    }
  }
}
process.stdout.write(JSON.stringify(pairs))
