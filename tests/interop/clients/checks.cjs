// What the clients on npm share.
'use strict'

const env = (name) => process.env[`INTEROP_${name}`]

async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check()
      console.log(`ok ${name}`)
    } catch (error) {
      console.error(error)
      console.log(`FAILED ${name}`)
    }
  }
}

async function refusal(call) {
  try {
    await call()
  } catch (error) {
    return error
  }
  throw new Error('it was not refused')
}

module.exports = { env, run, refusal }
