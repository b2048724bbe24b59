// @alicloud/pop-core: parameters in the query for GET, in a form for POST.
'use strict'
const assert = require('assert')
const { RPCClient } = require('@alicloud/pop-core')
const { env, run, refusal } = require('./checks.cjs')

const client = (secret) =>
  new RPCClient({ accessKeyId: env('KEY_ID'), accessKeySecret: secret, endpoint: env('MPS'), apiVersion: '2014-06-18' })
const source = `oss://media.oss-${env('REGION')}.aliyuncs.com/a b+c*~(中)'!.mp4`

const both = async (method) => {
  const mps = client(env('SECRET'))
  const params = { FunctionName: 'MusicSegmentDetect', Input: source }
  const { JobId } = await mps.request('SubmitIProductionJob', params, { method })
  const told = await mps.request('QueryIProductionJob', { JobId }, { method })
  assert.strictEqual(told.Input, source)
}

run({
  smart_production_by_get: () => both('GET'),
  smart_production_by_post: () => both('POST'),
  wrong_secret: async () => {
    const error = await refusal(() => client('wrong').request('SearchPipeline', {}, { method: 'POST' }))
    assert.match(error.code, /SignatureDoesNotMatch|InvalidAccessKeySecret/)
  },
})
