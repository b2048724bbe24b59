// One JSON line a check, as checks.py does it.
'use strict'

exports.env = process.env

exports.check = async (name, work) => {
  let told = 'ok'
  try {
    await work()
  } catch (error) {
    told = `${error.name}: ${error.message}`.slice(0, 300)
  }
  console.log(JSON.stringify({ check: name, outcome: told }))
}

exports.equal = (found, expected) => {
  if (found !== expected) throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(expected)}`)
}

exports.refused = async (work, code) => {
  try {
    await work()
  } catch (error) {
    const said = `${error.name} ${error.code} ${error.message}`
    if (!said.includes(code)) throw new Error(`refused, but as ${said}`)
    return
  }
  throw new Error(`not refused as ${code}`)
}
