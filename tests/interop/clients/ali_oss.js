// ali-oss: V1 and V4.
'use strict'

const OSS = require('ali-oss')
const { env, check, equal, refused } = require('./checks')

const connect = (v4, secret) => new OSS({
  accessKeyId: env.KEY_ID,
  accessKeySecret: secret || env.KEY_SECRET,
  bucket: env.BUCKET,
  endpoint: env.OSS_URL,
  region: `oss-${env.REGION}`,
  sldEnable: true,
  authorizationV4: v4
})

const run = async (v4) => {
  const store = connect(v4)
  const key = `js/${v4 ? 'v4' : 'v1'} a+ü.bin`
  const body = Buffer.alloc(300000, 'x')
  const label = v4 ? 'V4' : 'V1'
  await check(`${label}: put, get, head`, async () => {
    await store.put(key, body)
    equal((await store.get(key)).content.equals(body), true)
    equal((await store.head(key)).res.headers['content-length'], String(body.length))
  })
  await check(`${label}: multipart`, async () => {
    await store.multipartUpload(key, body, { partSize: 102400, parallel: 2 })
    equal((await store.get(key)).content.equals(body), true)
  })
  await check(`${label}: list, delete`, async () => {
    const found = await store.listV2({ prefix: 'js/' })
    equal(found.objects.map((each) => each.name).includes(key), true)
    await store.delete(key)
  })
  await check(`${label}: missing object`, () => refused(() => store.get('js/none'), 'NoSuchKey'))
  await check(`${label}: wrong secret`, () => refused(() => connect(v4, 'x').get(key), 'SignatureDoesNotMatch'))
}

run(false).then(() => run(true))
