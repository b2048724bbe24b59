// @alicloud/mns
'use strict'

const MNS = require('@alicloud/mns')
const { env, check, equal, refused } = require('./checks')

const connect = (secret) => new MNS(env.ACCOUNT, {
  accessKeyId: env.KEY_ID, accessKeySecret: secret || env.KEY_SECRET, endpoint: env.MNS_URL, region: env.REGION
})

const run = async () => {
  const client = connect()
  await check('create queue', () => client.createQueue('js-queue', { VisibilityTimeout: 60 }))
  await check('attributes', async () => {
    equal((await client.getQueueAttributes('js-queue')).body.QueueName, 'js-queue')
  })
  await check('send, peek, receive, hide, delete', async () => {
    await client.sendMessage('js-queue', { MessageBody: 'hello' })
    equal((await client.peekMessage('js-queue')).body.MessageBody, 'hello')
    const got = (await client.receiveMessage('js-queue', 1)).body
    equal(got.MessageBody, 'hello')
    const changed = (await client.changeMessageVisibility('js-queue', got.ReceiptHandle, 30)).body
    await client.deleteMessage('js-queue', changed.ReceiptHandle)
  })
  await check('empty queue', () => refused(() => client.receiveMessage('js-queue', 0), 'MessageNotExist'))
  await check('wrong secret', () => refused(() => connect('x').getQueueAttributes('js-queue'), 'SignatureDoesNotMatch'))
  await check('delete queue', () => client.deleteQueue('js-queue'))
}

run()
