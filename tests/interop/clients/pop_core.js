// @alicloud/pop-core: RPC v1 with GET and with a form in POST.
'use strict'

const { RPCClient } = require('@alicloud/pop-core')
const { env, check, equal, refused } = require('./checks')

const connect = (secret) => new RPCClient({
  accessKeyId: env.KEY_ID, accessKeySecret: secret || env.KEY_SECRET, endpoint: env.MPS_URL, apiVersion: '2014-06-18'
})

const run = async () => {
  for (const method of ['GET', 'POST']) {
    await check(`search pipelines, ${method}`, async () => {
      const found = await connect().request('SearchPipeline', { RegionId: env.REGION }, { method })
      equal(found.PipelineList.Pipeline.some((each) => each.Id === env.PIPELINE), true)
    })
  }
  await check('submit and query production job', async () => {
    const base = `oss://${env.BUCKET}.oss-${env.REGION}.aliyuncs.com/`
    const given = {
      FunctionName: 'Cover', Input: `${base}a b+(中).mp4`, Output: `${base}o-{sequenceId}.jpg`, PipelineId: env.PIPELINE
    }
    const job = await connect().request('SubmitIProductionJob', given, { method: 'POST' })
    const seen = await connect().request('QueryIProductionJob', { JobId: job.JobId }, { method: 'POST' })
    equal(seen.JobId, job.JobId)
  })
  await check('wrong secret', () => refused(() => connect('x').request('SearchPipeline', {}), 'SignatureDoesNotMatch'))
}

run()
